import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.gdal import parse_metadata, parse_nodata
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
    assert header.profile.bands == (BandMeta(),)


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
        assert (level.dtype, level.samples) == (np.dtype(dtype).name, 3)
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
        striped = tags(t254=(LONG, [1]), t322=None, t324=None)
        unknown_codec = half | {259: (SHORT, [7])}
        raw = tiff(tags(), mask, another, same_size, half, other_dtype, striped, unknown_codec, quarter, size=8192)
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

    def test_too_few(self, tmp_path: Path) -> None:
        error = refused(tiff(tags(t325=(LONG, [256] * 3))), tmp_path)
        assert error.message == "the file has 3 of 4 tiles in its list of tiles"


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"t322": None}, "UNSUPPORTED_LAYOUT", "the file is striped, only tiled TIFFs are read"),
        ({"t258": (SHORT, [1])}, "UNSUPPORTED_LAYOUT", "the pixels have 1 bits (sample format 1)"),
        ({"t258": (SHORT, [12])}, "UNSUPPORTED_LAYOUT", "the pixels have 12 bits (sample format 1)"),
        ({"t258": None}, "UNSUPPORTED_LAYOUT", "the pixels have 1 bits (sample format 1)"),
        (
            {"t258": (SHORT, [64]), "t339": (SHORT, [6])},
            "UNSUPPORTED_LAYOUT",
            "the pixels are complex numbers",
        ),
        (
            {"t277": (SHORT, [2]), "t258": (SHORT, [8, 16])},
            "UNSUPPORTED_LAYOUT",
            "the samples of the file differ in type",
        ),
        (
            {"t262": (SHORT, [6])},
            "UNSUPPORTED_LAYOUT",
            "the pixels are YCbCr, or their bits are in reverse order",
        ),
        (
            {"t322": (LONG, [2**31]), "t323": (LONG, [2**31])},
            "UNSUPPORTED_LAYOUT",
            "the tiles are larger than 256 MiB",
        ),
        ({"t259": (SHORT, [7])}, "UNSUPPORTED_CODEC", "the codec JPEG (compression 7) is not read"),
        ({"t259": (SHORT, [34887])}, "UNSUPPORTED_CODEC", "the codec LERC (compression 34887) is not read"),
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


def test_the_way_out_of_stripes(tmp_path: Path) -> None:
    hint = refused(tiff(tags(t322=None)), tmp_path).hint
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


@pytest.mark.parametrize(
    ("text", "dtype", "expected"),
    [
        ("0", "uint16", "0"),
        ("0.0", "uint16", "0"),
        ("-9999", "int16", "-9999"),
        ("-9999", "float32", "-9999.0"),
        ("-9999", "uint16", None),
        ("256", "uint8", None),
        ("0.5", "uint8", None),
        ("nan", "float32", "nan"),
        ("-1.#QNAN", "float64", "nan"),
        ("NaN", "uint8", None),
        ("-inf", "float32", "-inf"),
        ("inf", "int32", None),
        ("1e39", "float32", None),
        ("-3.40282346638529e+38", "float32", "-3.4028234663852886e+38"),
        ("18446744073709551615", "uint64", "18446744073709551615"),
        ("9007199254740993", "int64", "9007199254740993"),
        (" 7 ", "uint8", "7"),
        ("", "uint8", None),
        ("none", "uint8", None),
        ("1" * 5000, "int64", None),
    ],
)
def test_nodata(text: str, dtype: str, expected: str | None) -> None:
    found = parse_nodata(text, dtype)
    assert found == expected
    if found is not None:
        np.dtype(dtype).type(found)


def test_nodata_and_metadata_from_the_file(tmp_path: Path) -> None:
    xml = b'<GDALMetadata><Item name="SCALE" sample="0" role="scale">0.5</Item></GDALMetadata>\0'
    header = read(tiff(tags(t42112=(ASCII, xml), t42113=(ASCII, b"255\0"))), tmp_path)
    assert header.profile.nodata == "255"
    assert header.profile.bands == (BandMeta(scale=0.5),)


class TestMetadata:
    def test_all_roles(self) -> None:
        xml = """<GDALMetadata>
          <Item name="OFFSET" sample="1" role="offset">-0.1</Item>
          <Item name="SCALE" sample="1" role="scale">0.0001</Item>
          <Item name="UNITTYPE" sample="1" role="unittype">m &amp; s</Item>
          <Item name="DESCRIPTION" sample="0" role="description">Red &lt;4&gt;</Item>
          <Item name="AREA">2</Item>
        </GDALMetadata>"""
        assert parse_metadata(xml, 2) == (
            BandMeta(description="Red <4>"),
            BandMeta(scale=0.0001, offset=-0.1, unit="m & s"),
        )

    @pytest.mark.parametrize(
        "xml",
        [
            '<Item sample="7" role="scale">2</Item>',
            '<Item sample="-1" role="scale">2</Item>',
            '<Item sample="99999999999999999999" role="scale">2</Item>',
            '<Item sample="0" role="scale">two</Item>',
            '<Item sample="0" role="scale">inf</Item>',
            '<!DOCTYPE x [<!ENTITY a "b">]>',
            "<Item " * 100_000,
            "<Item " + "a" * 1_000_000,
        ],
    )
    def test_nonsense_says_nothing(self, xml: str) -> None:
        assert parse_metadata(xml, 1) == (BandMeta(),)
