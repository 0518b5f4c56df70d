import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.header import Header, read_header
from rasterflight_server.store import open_source
from rasterflight_server.types import BandMeta
from support.http_server import FileServer
from support.tiff import ASCII, LONG, LONG8, SHORT, tags, tiff


def read(raw: bytes | Path, tmp_path: Path) -> Header:
    path = raw if isinstance(raw, Path) else tmp_path / "x.tif"
    if isinstance(raw, bytes):
        path.write_bytes(raw)
    with open_source(str(path)) as source:
        return read_header(source)


def refused(raw: bytes | Path, tmp_path: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(raw, tmp_path)
    assert "x.tif" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_by_hand(tmp_path: Path, order: str, big: bool) -> None:
    header = read(tiff(tags(), order=order, big=big), tmp_path)
    (level,) = header.profile.levels
    assert (level.width, level.height, level.tile_shape, level.dtype) == (32, 32, (16, 16, 1), "uint8")
    assert (level.compression, level.predictor, level.samples, level.planar_separate) == (1, 1, 1, False)
    assert level.big_endian is (order == ">")
    assert header.tiles[0].offsets.tolist() == [1000, 1256, 1512, 1768]
    assert header.tiles[0].counts.tolist() == [256] * 4
    assert header.tiles[0].offsets.dtype == header.tiles[0].counts.dtype == np.int64
    assert (header.grid.crs, header.located, tuple(header.grid.transform)[:6]) == (None, False, (1, 0, 0, 0, 1, 0))
    assert header.profile.bands == (BandMeta(colorinterp="gray"),)


@pytest.mark.parametrize(
    "dtype",
    ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"],
)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_written_by_tifffile(tmp_path: Path, dtype: str, planar: str) -> None:
    shape = (40, 50, 3) if planar == "contig" else (3, 40, 50)
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.ones(shape, dtype), tile=(32, 16), planarconfig=planar, photometric="rgb")
    header = read(path, tmp_path)
    (level,) = header.profile.levels
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        # GDAL has no half floats before 3.11, and gives them as floats.
        name = "float32" if dtype == "f2" else np.dtype(dtype).name
        assert (level.dtype, level.stored, level.samples) == (name, "float16" if dtype == "f2" else None, 3)
        assert level.planar_separate is (planar == "separate")
        assert header.tiles[0].offsets.tolist() == list(page.dataoffsets)
        assert header.tiles[0].counts.tolist() == list(page.databytecounts)


class TestLevels:
    def test_overviews_among_other_pages(self, tmp_path: Path) -> None:
        half = tags(t254=(LONG, [1]), t256=(LONG, [16]), t257=(LONG, [16]), t324=(LONG, [1000]), t325=(LONG, [256]))
        quarter = tags(t255=(SHORT, [2]), t256=(LONG, [8]), t257=(LONG, [8]), t324=(LONG, [1256]), t325=(LONG, [256]))
        mask = half | {254: (LONG, [5])}
        another = tags()
        same_size = tags(t254=(LONG, [1]))
        other_dtype = half | {258: (SHORT, [16])}
        unknown_codec = half | {259: (SHORT, [6])}
        raw = tiff(tags(), mask, another, same_size, half, other_dtype, unknown_codec, quarter, size=8192)
        header = read(raw, tmp_path)
        assert [(level.width, level.height) for level in header.profile.levels] == [(32, 32), (16, 16), (8, 8)]
        assert [ranges.offsets.tolist() for ranges in header.tiles[1:]] == [[1000], [1256]]

    def test_tiles_larger_than_the_image(self, tmp_path: Path) -> None:
        raw = tiff(tags(t256=(LONG, [5]), t257=(LONG, [6]), t324=(LONG, [1000]), t325=(LONG, [256])))
        (level,) = read(raw, tmp_path).profile.levels
        assert (level.width, level.height, level.tiles_across, level.tiles_down) == (5, 6, 1, 1)


class TestTiles:
    def test_sparse(self, tmp_path: Path) -> None:
        raw = tiff(tags(t324=(LONG, [1000, 0, 1512, 0]), t325=(LONG, [256, 0, 0, 256])))
        (ranges,) = read(raw, tmp_path).tiles
        assert ranges.counts.tolist() == [256, 0, 0, 0]
        assert ranges.offsets.tolist() == [1000, 0, 0, 0]

    def test_truncated(self, tmp_path: Path) -> None:
        error = refused(tiff(tags(), size=1800), tmp_path)
        assert (error.code, error.message) == (
            ErrorCode.SOURCE_CORRUPT,
            "truncated: tile 3 ends at byte 2024, the file has 1800",
        )

    @pytest.mark.parametrize("offset", [2**63, 2**64 - 1, 2**64 - 256])
    def test_absurd_offsets(self, tmp_path: Path, offset: int) -> None:
        error = refused(tiff(tags(t324=(LONG8, [1000, 1000, 1000, offset])), big=True), tmp_path)
        assert error.message.startswith("truncated: tile 3 ends at byte")

    def test_fewer_byte_counts_than_tiles(self, tmp_path: Path) -> None:
        (ranges,) = read(tiff(tags(t325=(LONG, [256] * 3))), tmp_path).tiles
        assert ranges.counts.tolist() == [256, 256, 256, 0]

    def test_fewer_offsets_than_tiles(self, tmp_path: Path) -> None:
        error = refused(tiff(tags(t324=(LONG, [1000, 1256, 1512]))), tmp_path)
        assert error.message == "the file has 3 of 4 tiles in its list of tiles"


def striped(**changes):
    return tags(t322=None, t323=None, t324=None, t325=None, t273=(LONG, [1000]), t279=(LONG, [1024]), **changes)


class TestStrips:
    """Strips without compression are cut anew: test_conformance reads them, here is what the index keeps."""

    def test_one_for_all(self, tmp_path: Path) -> None:
        header = read(tiff(striped()), tmp_path)
        (level,), (ranges,) = header.profile.levels, header.tiles
        assert (level.striped, level.tile_shape, ranges.offsets.tolist()) == (True, (32, 32, 1), [1000])

    def test_compressed_stay_as_they_are(self, tmp_path: Path) -> None:
        raw = striped(t259=(SHORT, [8]), t278=(LONG, [12])) | {273: (LONG, [1000, 1400, 1800]), 279: (LONG, [9, 9, 9])}
        (level,), (ranges,) = read(tiff(raw), tmp_path).profile.levels, read(tiff(raw), tmp_path).tiles
        assert (level.tile_height, level.tiles_down, ranges.counts.tolist()) == (12, 3, [9, 9, 9])
        assert [level.rows_inside(tile) for tile in range(3)] == [12, 12, 8]

    def test_neighbours_are_joined(self, tmp_path: Path) -> None:
        raw = striped(t278=(LONG, [8])) | {273: (LONG, [1000, 1256, 1512, 1768]), 279: (LONG, [256] * 4)}
        (ranges,) = read(tiff(raw), tmp_path).tiles
        assert (ranges.offsets.tolist(), ranges.counts.tolist()) == ([1000], [1024])

    def test_large_ones_are_cut(self, tmp_path: Path) -> None:
        path = tmp_path / "x.tif"
        with path.open("wb") as file:
            file.write(tiff(striped() | {256: (LONG, [4096]), 257: (LONG, [4099]), 279: (LONG, [4096 * 4099])}))
            file.truncate(1000 + 4096 * 4099)
        (level,), (ranges,) = read(path, tmp_path).profile.levels, read(path, tmp_path).tiles
        assert (level.tile_height, level.tiles_down) == (64, 65)
        assert ranges.offsets[[0, 1, 64]].tolist() == [1000, 1000 + 64 * 4096, 1000 + 64 * 64 * 4096]
        assert ranges.counts[[0, 64]].tolist() == [64 * 4096, 3 * 4096]

    def test_scattered_ones_are_cut_into_equal_parts(self, tmp_path: Path) -> None:
        raw = striped(t278=(LONG, [16])) | {273: (LONG, [2000, 1000]), 279: (LONG, [512] * 2)}
        (level,), (ranges,) = read(tiff(raw), tmp_path).profile.levels, read(tiff(raw), tmp_path).tiles
        assert (level.tile_height, ranges.offsets.tolist()) == (16, [2000, 1000])


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"t322": None}, "SOURCE_CORRUPT", "the TIFF tag 322 is missing"),
        ({"t258": (SHORT, [33])}, "UNSUPPORTED_LAYOUT", "the pixels have 33 bits (sample format 1)"),
        (
            {"t258": (SHORT, [8]), "t339": (SHORT, [3])},
            "UNSUPPORTED_LAYOUT",
            "the pixels have 8 bits (sample format 3)",
        ),
        (
            {"t277": (SHORT, [2]), "t258": (SHORT, [8, 16])},
            "UNSUPPORTED_LAYOUT",
            "the samples of the file differ in type",
        ),
        (
            {"t262": (SHORT, [6])},
            "UNSUPPORTED_LAYOUT",
            "the pixels are YCbCr in a rare layout",
        ),
        (
            {"t322": (LONG, [2**31]), "t323": (LONG, [2**31])},
            "UNSUPPORTED_LAYOUT",
            "the tiles are larger than 256 MiB",
        ),
        ({"t259": (SHORT, [6])}, "UNSUPPORTED_CODEC", "the codec old-style JPEG (compression 6) is not read"),
        ({"t259": (SHORT, [34661])}, "UNSUPPORTED_CODEC", "the codec JBIG (compression 34661) is not read"),
        ({"t259": (SHORT, [999])}, "UNSUPPORTED_CODEC", "the codec unknown (compression 999) is not read"),
        (
            {"t259": (SHORT, [8]), "t317": (SHORT, [4])},
            "UNSUPPORTED_CODEC",
            "the predictor 4 is not read for uint8 pixels",
        ),
        (
            {"t259": (SHORT, [8]), "t317": (SHORT, [3])},
            "UNSUPPORTED_CODEC",
            "the predictor 3 is not read for uint8 pixels",
        ),
        ({"t256": None}, "SOURCE_CORRUPT", "the TIFF tag 256 is missing"),
        ({"t256": (LONG, [0])}, "SOURCE_CORRUPT", "the image claims to have 0 x 32 pixels"),
        ({"t256": (LONG, [2**32 - 1])}, "SOURCE_CORRUPT", "the image claims to have 4294967295 x 32 pixels"),
        (
            {"t256": (LONG, [2**31 - 1]), "t257": (LONG, [2**31 - 1])},
            "SOURCE_CORRUPT",
            "the file has 4 of 18014398509481984 tiles in its list of tiles",
        ),
        ({"t322": (SHORT, [0])}, "SOURCE_CORRUPT", "the tiles claim to have 0 x 16 pixels"),
        ({"t277": (SHORT, [0])}, "SOURCE_CORRUPT", "the image claims to have no samples"),
    ],
)
def test_refused(tmp_path: Path, changes: dict, code: str, message: str) -> None:
    error = refused(tiff(tags(**changes)), tmp_path)
    assert (error.code.code, error.message) == (code, message)
    assert bool(error.hint) is (code != "SOURCE_CORRUPT")


def test_the_way_out_of_huge_strips(tmp_path: Path) -> None:
    huge = tags(
        t322=None, t323=None, t324=None, t325=None, t259=(SHORT, [8]), t256=(LONG, [2**17]), t257=(LONG, [2**17])
    )
    error = refused(tiff(huge | {273: (LONG, [1000]), 279: (LONG, [9])}), tmp_path)
    assert error.message == "the strips are larger than 1024 MiB"
    hint = error.hint
    assert "gdal_translate -of COG" in hint
    assert "rio cogeo create" in hint


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "the file is empty"),
        (b"II", "the file is not a TIFF"),
        (b"\x89PNG\r\n\x1a\n", "the file is not a TIFF"),
        (b"<html>" * 100, "the file is not a TIFF"),
        (b"II*\0", "truncated: bytes 4 to 8 are needed, the file has 4"),
        (b"II*\0\0\0\0\0", "the TIFF file has no directory"),
        (b"II*\0\xff\xff\xff\x7f", "truncated: bytes 2147483647 to 2147483649 are needed, the file has 8"),
        (tiff(tags(), next_of_last=8), "the directories of the TIFF file go round in a circle"),
        (tiff(tags(t256=(0, [1]))), "the TIFF tag 256 has the unknown type 0"),
    ],
)
def test_not_a_tiff(tmp_path: Path, raw: bytes, message: str) -> None:
    error = refused(raw, tmp_path)
    assert (error.code, error.message) == (ErrorCode.SOURCE_CORRUPT, message)


def test_a_count_of_billions_takes_no_memory(tmp_path: Path) -> None:
    raw = bytearray(tiff(tags(), big=True))
    # The count of TileOffsets, the ninth entry.
    struct.pack_into("<Q", raw, 16 + 8 + 8 * 20 + 4, 2**31)
    assert refused(bytes(raw), tmp_path).message.startswith("truncated: bytes")
    path = tmp_path / "x.tif"
    path.write_bytes(raw)
    with path.open("r+b") as file:
        file.truncate(2**35)
    assert refused(path, tmp_path).message == "the header of the file is unreasonably large"


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.data())
def test_damage_is_an_error_and_never_a_crash(tmp_path: Path, data: Path, damage: st.DataObject) -> None:
    raw = bytearray((data / "naip-nd-4709963" / "m_4709963_se_14_1_20090818.tif").read_bytes()[:4096])
    for _ in range(damage.draw(st.integers(1, 6))):
        at = damage.draw(st.integers(0, 1500))
        raw[at : at + 4] = damage.draw(st.binary(min_size=1, max_size=4))
    try:
        read(bytes(raw), tmp_path)
    except SourceError as error:
        assert error.message  # noqa: PT017


def test_a_usual_header_costs_one_request(data: Path) -> None:
    with FileServer(data) as server:
        for path in sorted(data.glob("landsat8-*-cog/*/*.tif"))[:5]:
            server.requests.clear()
            with open_source(f"{server.url}/{path.relative_to(data)}") as source:
                header = read_header(source)
            assert header.identity.size == path.stat().st_size
            assert len(server.requests) == 1


def test_nodata_and_metadata_from_the_file(tmp_path: Path) -> None:
    xml = b'<GDALMetadata><Item name="SCALE" sample="0" role="scale">0.5</Item></GDALMetadata>\0'
    header = read(tiff(tags(t42112=(ASCII, xml), t42113=(ASCII, b"255\0"))), tmp_path)
    assert header.profile.nodata == "255"
    assert header.profile.bands == (BandMeta(scale=0.5, colorinterp="gray"),)
