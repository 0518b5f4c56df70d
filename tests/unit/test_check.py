"""``rasterflight-server check``: what it says of files, and how it ends."""

from pathlib import Path

import numpy as np
import pytest

from rasterflight_server.cli import main
from support.scenes import noise, write_scene
from support.tiff import LONG, SHORT, tags, tiff


def check(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str]]:
    code = main(["check", *map(str, arguments)])
    return code, capsys.readouterr().out.splitlines()


def test_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_scene(tmp_path / "a.tif", noise(70, 50), tile=32, nodata=7)
    code, lines = check(capsys, path)
    assert code == 0
    assert lines == [
        f"{path}: 50 x 70 pixels, 1 band of uint16, tiles of 32 x 32, ZSTD, EPSG:32631, no overviews, no mask, nodata 7. Reads."
    ]


def test_every_bundled_file_reads(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = check(capsys, "--full", data)
    assert code == 0
    assert len(lines) == 100
    assert all(line.endswith("Reads.") for line in lines)


def test_reasons_and_ways_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "codec.tif").write_bytes(tiff(tags(t259=(SHORT, [34661]))))
    (tmp_path / "cut.tif").write_bytes(tiff(tags(), size=1800))
    (tmp_path / "damaged.tif").write_bytes(tiff(tags(t259=(SHORT, [8]), t325=(LONG, [200] * 4))))
    (tmp_path / "text.tif").write_text("no raster at all")
    code, lines = check(capsys, tmp_path)
    assert code == 1
    codec, cut, damaged, text = (line.partition(".tif: ")[2] for line in lines)
    assert codec.startswith(
        "Does not read: the codec JBIG (compression 34661) is not read (UNSUPPORTED_CODEC). Way out: `gdal"
    )
    assert cut == "Does not read: truncated: tile 3 ends at byte 2024, the file has 1800 (SOURCE_CORRUPT)."
    assert damaged.endswith("Does not read: tile 0: a tile does not decode as deflate (SOURCE_CORRUPT).")
    assert text == "Does not read: the file is not a TIFF (SOURCE_CORRUPT)."


def test_only_full_looks_between_the_first_and_the_last_tile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_scene(tmp_path / "a.tif", np.zeros((96, 96), np.uint16), tile=32)
    content = path.read_bytes()
    # All tiles but the fifth share one place in the file or are alike; damage what lies in the middle.
    frame = content.find(b"\x28\xb5\x2f\xfd", len(content) // 2)
    path.write_bytes(content[:frame] + bytes(4) + content[frame + 4 :])
    assert check(capsys, "--full", path)[0] == 1


def test_nothing_to_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 1
    assert "has no GeoTIFF" in capsys.readouterr().err
