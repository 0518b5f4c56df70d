"""Pixels that hold nothing, against rasterio: nodata in every spelling, masks, alpha, and which of them wins."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from rasterflight_protocol import nodata_pixel
from rasterflight_protocol.v1.read_pb2 import ReadRequest, Window, Windows
from rasterflight_server.plan.estimate import estimate
from rasterflight_server.plan.planner import plan_read
from rasterflight_server.plan.validity import invalid
from support.direct import Direct, direct
from support.tiff import ASCII, LONG, SHORT, tags, tiff

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SPELLINGS = [
    "0", "nan", "NaN", "-nan", "inf", "-inf", "Infinity", "-3.4028234663852886e+38", "-3.40282346638529e+38",
    "3.5e38", "1e400", " 5 ", "-9999", "-9999.0", "1e2", "0.5", "1.5", "-0.5", "300", "255", "256", "-1", "65535",
    "9007199254740993", "9223372036854775807", "18446744073709551615", "-9223372036854775808", "1e5", "none", "5abc",
    "-1.#IND", "1.#QNAN", "0x10", "1,5", "1e-30", "",
]  # fmt: skip
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]


def pixels_of(dtype: str) -> np.ndarray:
    """Values around which nodata may be mistaken, 512 of them."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        top = float(np.finfo(kind).max)
        values = [
            0,
            1,
            -1,
            0.5,
            1.5,
            np.nan,
            np.inf,
            -np.inf,
            -9999,
            top,
            -top,
            -top / 2,
            -top / 3,
            1e10,
            0.1,
            1e-30,
            5,
        ]
        return np.resize(np.array(values, kind), 512)
    limits = np.iinfo(kind)
    wished = [0, 1, 2, 5, 15, 100, 255, 256, 300, -1, -9999, 2**53, 2**53 + 1, limits.max - 1, limits.max, limits.min]
    return np.resize(np.array([value for value in wished if limits.min <= value <= limits.max], kind), 512)


def write_spelling(path: Path, dtype: str, text: str) -> None:
    """Four tiles, of which two are not stored."""
    kind = np.dtype(dtype)
    size = 256 * kind.itemsize
    directory = tags(
        t258=(SHORT, [8 * kind.itemsize]),
        t339=(SHORT, [{"u": 1, "i": 2, "f": 3}[kind.kind]]),
        t324=(LONG, [4000, 4000 + size, 0, 0]),
        t325=(LONG, [size, size, 0, 0]),
        t42113=(ASCII, text.encode() + b"\0"),
    )
    content = bytearray(tiff(directory, size=4000 + 2 * size))
    content[4000:] = pixels_of(dtype).tobytes()
    path.write_bytes(content)


def write_masked(
    path: Path, dtype: str, bands: int, *, size: int = 96, overviews: bool = False, strips: bool = False, **options
) -> None:
    """A file with a mask of one bit, as GDAL writes it."""
    pixels = np.random.default_rng(bands).integers(0, 100, (bands, size, size + 7)).astype(dtype)
    layout = {"tiled": not strips, **({} if strips else {"blockxsize": 32, "blockysize": 48})}
    profile = {
        "driver": "GTiff",
        "width": size + 7,
        "height": size,
        "count": bands,
        "dtype": dtype,
        **layout,
        **options,
    }
    profile |= {"transform": rasterio.Affine.scale(10, -10)}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as dataset:
        dataset.write(pixels)
        dataset.write_mask(pixels[0] % 3 > 0)
        if overviews:
            dataset.build_overviews([2, 4], rasterio.enums.Resampling.nearest)


def write_pages(path: Path, mask: np.ndarray, **options) -> None:
    """An image of two samples, and a mask of bytes, as other programs write it."""
    image = np.arange(2 * 64 * 80, dtype=np.uint16).reshape(64, 80, 2)
    with tifffile.TiffWriter(path) as file:
        file.write(image, tile=(32, 16), photometric="minisblack", planarconfig="contig", metadata=None)
        file.write(mask, subfiletype=2, photometric="minisblack", metadata=None, **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[1].tags["NewSubfileType"].overwrite(4)


def write_alpha(path: Path, dtype: str, samples: int, extra: list[int], photometric: int, **more) -> None:
    kind = np.dtype(dtype)
    size = 256 * samples * kind.itemsize
    directory = tags(
        t258=(SHORT, [8 * kind.itemsize] * samples),
        t262=(SHORT, [photometric]),
        t277=(SHORT, [samples]),
        t339=(SHORT, [{"u": 1, "i": 2, "f": 3}[kind.kind]] * samples),
        t324=(LONG, [4000, 4000, 4000, 0]),
        t325=(LONG, [size, size, size, 0]),
        t338=(SHORT, extra) if extra else None,
        **more,
    )
    content = bytearray(tiff(directory, size=4000 + size))
    content[4000:] = np.resize(np.array([0, 1, 2, 3, 0, 5, 7], kind), 256 * samples).tobytes()
    path.write_bytes(content)


@pytest.fixture(scope="module")
def spellings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Direct]]:
    folder = tmp_path_factory.mktemp("spellings")
    for dtype in DTYPES:
        for number, text in enumerate(SPELLINGS):
            write_spelling(folder / f"{dtype}-{number}.tif", dtype, text)
    with direct(folder, tmp_path_factory.mktemp("index") / "i") as reads:
        yield folder, reads


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Direct]]:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    with direct(folder, tmp_path_factory.mktemp("index") / "i") as reads:
        yield folder, reads


def write_files(folder: Path) -> None:
    for dtype in ("uint8", "int16", "float32"):
        for bands in (1, 3):
            write_masked(folder / f"mask-{dtype}-{bands}.tif", dtype, bands)
    write_masked(folder / "mask-overviews.tif", "uint8", 3, overviews=True, compress="deflate")
    write_masked(folder / "mask-nodata.tif", "uint8", 1, nodata=7)
    write_masked(folder / "mask-planar.tif", "uint16", 3, interleave="band", compress="lzw")
    write_masked(folder / "mask-strips.tif", "uint8", 2, strips=True)
    write_masked(folder / "mask-big.tif", "uint16", 1, bigtiff="yes", compress="zstd", predictor=2)
    write_masked(folder / "mask-alpha.tif", "uint8", 4, photometric="rgb", alpha="yes")
    bits = np.arange(64 * 80, dtype=np.uint8).reshape(64, 80) % 5
    write_pages(folder / "bytes.tif", bits)
    write_pages(folder / "bytes-tiles.tif", bits, tile=(16, 64), compression="zlib")
    write_pages(folder / "bytes-per-band.tif", np.stack([bits, bits % 2], axis=-1), planarconfig="contig")
    write_pages(folder / "bytes-three.tif", np.stack([bits] * 3, axis=-1), planarconfig="contig")
    write_pages(folder / "words.tif", bits.astype(np.uint16))
    for dtype in ("uint8", "uint16", "int16", "uint32", "float32"):
        write_alpha(folder / f"alpha-{dtype}.tif", dtype, 2, [2], 1)
    for photometric, samples, extra in (
        (1, 2, [1]), (1, 2, [0]), (1, 2, [999]), (1, 3, [0, 2]), (1, 4, [0, 0, 1]), (1, 4, [2]), (2, 4, [2]), (2, 4, []),
        (2, 5, [0, 2]), (3, 2, [2]), (0, 2, [2]), (2, 4, [1, 2]),
    ):  # fmt: skip
        name = f"extra-{photometric}-{samples}-{'-'.join(map(str, extra))}.tif"
        table = {"t320": (SHORT, [257 * i for i in range(256)] * 3)} if photometric == 3 else {}
        write_alpha(folder / name, "uint8", samples, extra, photometric, **table)
    write_alpha(folder / "alpha-nodata.tif", "uint8", 2, [2], 1, t42113=(ASCII, b"3\0"))
    xml = b'<GDALMetadata><Item name="NODATA_VALUES">%s</Item></GDALMetadata>\0'
    write_alpha(folder / "values.tif", "uint8", 3, [], 2, t42112=(ASCII, xml % b"0 1 2"))
    write_alpha(folder / "values-nodata.tif", "uint8", 3, [], 2, t42112=(ASCII, xml % b"0 1 2"), t42113=(ASCII, b"3\0"))
    write_alpha(folder / "values-too-few.tif", "uint8", 3, [], 2, t42112=(ASCII, xml % b"0 1"))


FILES = [
    *(f"mask-{dtype}-{bands}" for dtype in ("uint8", "int16", "float32") for bands in (1, 3)),
    *(f"mask-{kind}" for kind in ("overviews", "nodata", "planar", "strips", "big", "alpha")),
    *("bytes", "bytes-tiles", "bytes-per-band", "bytes-three", "words"),
    *(f"alpha-{dtype}" for dtype in ("uint8", "uint16", "int16", "uint32", "float32")),
    *("extra-1-2-1", "extra-1-2-0", "extra-1-2-999", "extra-1-3-0-2", "extra-1-4-0-0-1", "extra-1-4-2", "extra-2-4-2"),
    *("extra-2-4-", "extra-2-5-0-2", "extra-3-2-2", "extra-0-2-2", "extra-2-4-1-2"),
    *("alpha-nodata", "values", "values-nodata", "values-too-few"),
]


def check(reads: Direct, path: Path, windows: list[tuple[int, int, int, int]] | None = None) -> None:
    """All bands of a file, masked and not, by windows or whole."""
    request = None
    if windows is not None:
        request = ReadRequest(
            windows=Windows(values=[Window(col_off=c, row_off=r, width=w, height=h) for c, r, w, h in windows])
        )
    chips, fields = reads.read(path.stem, request=request, masked=True)
    plain, _ = reads.read(path.stem, request=request)
    with rasterio.open(path) as dataset:
        assert [field.colorinterp for field in fields] == [color.name for color in dataset.colorinterp]
        for chip, unmasked, asked in zip(chips, plain, windows or [None], strict=True):
            window = None if asked is None else rasterio.windows.Window(*asked)
            pixels, masks = dataset.read(window=window), dataset.read_masks(window=window)
            assert not unmasked.masks
            for index, field in enumerate(fields):
                np.testing.assert_array_equal(chip.masks[field.name], masks[index] == 0)
                np.testing.assert_array_equal(chip.pixels[field.name], pixels[index])
                np.testing.assert_array_equal(unmasked.pixels[field.name], pixels[index])


@pytest.mark.parametrize("text", SPELLINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_nodata_in_every_spelling(spellings: tuple[Path, Direct], dtype: str, text: str) -> None:
    folder, reads = spellings
    path = folder / f"{dtype}-{SPELLINGS.index(text)}.tif"
    check(reads, path)
    _, [field] = reads.read(path.stem)
    with rasterio.open(path) as dataset:
        truth = dataset.nodata
    if dtype.endswith("int64"):
        # rasterio goes by way of a float, which has not all the digits; the pixels say what GDAL takes for nodata
        assert (field.nodata is None) == (not text)
    else:
        np.testing.assert_equal(None if field.nodata is None else float(field.nodata), truth)


@pytest.mark.parametrize("name", FILES)
def test_masks_alpha_and_nodata(files: tuple[Path, Direct], name: str) -> None:
    folder, reads = files
    check(reads, folder / f"{name}.tif")


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("mask", "bytes"))])
def test_by_windows_that_share_tiles(files: tuple[Path, Direct], name: str) -> None:
    folder, reads = files
    check(reads, folder / f"{name}.tif", [(3, 5, 40, 33), (0, 0, 1, 1), (30, 20, 35, 40), (47, 31, 2, 2)])


@pytest.mark.parametrize("name", ["mask-uint8-3", "mask-planar", "mask-alpha", "bytes-tiles", "alpha-uint8"])
def test_each_tile_of_a_mask_is_decoded_once(files: tuple[Path, Direct], name: str) -> None:
    _, reads = files
    windows = [Window(col_off=col, row_off=row, width=11, height=9) for col in range(5) for row in range(5)]
    request = ReadRequest(windows=Windows(values=windows), batch_bytes=1 << 16)
    before = reads.service.telemetry.snapshot()["tiles_decoded"]
    reads.read(name, request=request, masked=True)
    plan = plan_read(reads.collection, reads.request(name, request=request, masked=True))
    assert reads.service.telemetry.snapshot()["tiles_decoded"] - before == estimate(plan).tiles


def test_every_file_is_listed(files: tuple[Path, Direct]) -> None:
    folder, _ = files
    assert sorted(FILES) == sorted(path.stem for path in folder.glob("*.tif"))


def test_overviews_of_the_mask_are_in_the_index(files: tuple[Path, Direct]) -> None:
    _, reads = files
    profiles = {}
    for row in reads.collection.select([])["row"].to_pylist():
        for asset in reads.collection.assets(row, range(len(reads.collection.manifest.slots))):
            if asset is not None:
                profiles[Path(asset.href).stem] = asset
    masks = profiles["mask-overviews"].profile.masks
    assert [(level.width, level.height) for level in masks] == [(103, 96), (52, 48), (26, 24)]
    assert [level.stored for level in masks] == ["uint1"] * 3
    with rasterio.open(profiles["mask-overviews"].href, overview_level=0) as dataset:
        assert (dataset.width, dataset.height) == (masks[1].width, masks[1].height)
    assert profiles["words"].profile.masks == ()


@pytest.mark.parametrize("name", ["cog_rgb_mask", "cog_uint8_rgba", "rgba8_cog_big", "sparse_tiled_contig", "cog"])
def test_real_files(data: Path, tmp_path: Path, name: str) -> None:
    [path] = (data / "variety").glob(f"{name}.tif*")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / path.name).symlink_to(path)
    with direct(folder, tmp_path / "index") as reads:
        check(reads, folder / path.name)


@given(
    nodata=st.floats(width=32),
    pixels=st.lists(st.floats(width=32), min_size=1, max_size=20),
)
def test_a_pixel_equal_to_nodata_is_invalid_and_a_far_one_is_not(nodata: float, pixels: list[float]) -> None:
    array = np.array([*pixels, nodata], np.float32)
    holes = invalid([(array, np.float32(nodata))])
    assert holes[-1]
    far = np.isfinite(array) & (np.sign(array) == -np.sign(np.float32(nodata))) & (array != 0)
    assert not holes[far].any()


@given(nodata=st.integers(-(2**63), 2**63 - 1), pixel=st.integers(-(2**63), 2**63 - 1))
def test_int64_is_compared_exactly(nodata: int, pixel: int) -> None:
    array = np.array([pixel], np.int64)
    assert invalid([(array, nodata_pixel(str(nodata), "int64"))])[0] == (pixel == nodata)
