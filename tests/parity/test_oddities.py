"""Files that no program should write, and that some do: read as rasterio reads them, or refused."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import rasterio

from rasterflight_server.errors import SourceError
from support.engine import Engine, engine
from support.tiff import LONG, LONG8, SHORT, Tags, tags, tiff

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

AT = 5000
NOISE = np.random.default_rng(2).integers(0, 255, 34_000, dtype=np.uint8).tobytes()
PIXELS = NOISE[:1024]


def strips(**changes) -> Tags:
    """Tags of a 32 x 32 uint8 image in one strip without compression, at ``AT``."""
    usual = tags(t322=None, t323=None, t324=None, t325=None)
    usual |= {273: (LONG, [AT]), 278: (LONG, [32]), 279: (LONG, [1024])}
    for name, value in changes.items():
        usual.pop(int(name[1:]), None)
        if value is not None:
            usual[int(name[1:])] = value
    return usual


def made(tags: Tags, data: bytes = NOISE, order: str = "<") -> bytes:
    raw = bytearray(tiff(tags, size=AT + len(NOISE), order=order))
    raw[AT : AT + len(data)] = data
    return bytes(raw)


def coded(compression: int, raw: bytes, **changes) -> bytes:
    usual = {"t259": (SHORT, [compression]), "t279": (LONG, [len(raw)])}
    return made(strips(**{**usual, **changes}), raw)


def old_lzw(data: bytes) -> bytes:
    """LZW of the first TIFF writers: least significant bit first, code width raised one code later."""
    out, bits, buffered = bytearray(), 0, 0
    codes = {bytes([value]): value for value in range(256)}
    width, following, seen = 9, 258, b""

    def put(code: int) -> None:
        nonlocal bits, buffered
        buffered |= code << bits
        bits += width
        while bits >= 8:
            out.append(buffered & 255)
            buffered, bits = buffered >> 8, bits - 8

    put(256)
    for value in data:
        longer = seen + bytes([value])
        if longer in codes:
            seen = longer
            continue
        put(codes[seen])
        codes[longer] = following
        following += 1
        width += following in (513, 1025, 2049)
        seen = bytes([value])
    put(codes[seen])
    put(257)
    bits += 7
    out.append(buffered & 255)
    return bytes(out)


BYTES3 = {"t258": (SHORT, [8, 8, 8]), "t277": (SHORT, [3])}
YCBCR = {**BYTES3, "t262": (SHORT, [6])}
READ = {
    "a strip without end": made(strips(t278=(LONG, [2**32 - 1]))),
    "no rows per strip": made(strips(t278=None)),
    "no byte counts": made(strips(t279=None)),
    "byte count too small": made(strips(t279=(LONG, [1000]))),
    "byte count beyond the end": made(strips(t279=(LONG, [300_000]))),
    "byte count 0": made(strips(t279=(LONG, [0]))),
    "two strips, one too small": made(strips(t273=(LONG, [AT, 5600]), t278=(LONG, [16]), t279=(LONG, [500, 512]))),
    "sparse strip": made(strips(t273=(LONG, [AT, 5600]), t278=(LONG, [16]), t279=(LONG, [512, 0]))),
    "fewer byte counts": made(strips(t273=(LONG, [AT, 5600]), t278=(LONG, [16]), t279=(LONG, [512]))),
    "last strip short": made(strips(t273=(LONG, [AT, 5500, 6000]), t278=(LONG, [12]), t279=(LONG, [384, 384, 256]))),
    "short offsets": made(strips(t273=(SHORT, [AT]), t279=(SHORT, [1024]))),
    "long offsets": made(strips(t273=(LONG8, [AT]), t279=(LONG8, [1024]))),
    "no bits per sample": made(strips(t258=None)),
    "no compression": made(strips(t259=None)),
    "no photometric": made(strips(t262=None)),
    "no samples per pixel": made(strips(t277=None)),
    "one bit count for two samples": made(strips(t277=(SHORT, [2]))),
    "predictor without codec": made(strips(t317=(SHORT, [2]))),
    "unknown fill order": made(strips(t266=(SHORT, [7]))),
    "bits in reverse": made(strips(t266=(SHORT, [2]))),
    "words of bits in reverse": made(strips(t258=(SHORT, [16]), t266=(SHORT, [2]))),
    "void samples": made(strips(t258=(SHORT, [16]), t339=(SHORT, [4]))),
    "signed odd bits": made(strips(t258=(SHORT, [12]), t339=(SHORT, [2]))),
    "three-byte integers": made(strips(t258=(SHORT, [24]))),
    "big-endian three-byte integers": made(strips(t258=(SHORT, [24])), order=">"),
    "three-byte floats": made(strips(t258=(SHORT, [24]), t339=(SHORT, [3]))),
    "big-endian three-byte floats": made(strips(t258=(SHORT, [24]), t339=(SHORT, [3])), order=">"),
    "complex integers": made(strips(t258=(SHORT, [64]), t339=(SHORT, [5]))),
    "tall": made(strips(t256=(LONG, [3]), t257=(LONG, [9000]), t278=(LONG, [9000]))),
    "tall of bits": made(strips(t256=(LONG, [3]), t257=(LONG, [9000]), t258=(SHORT, [1]), t278=(LONG, [9000]))),
    "white is 0": made(strips(t262=(SHORT, [0]))),
    "tiles of 17": made(
        tags(t322=(LONG, [17]), t323=(LONG, [17]), t324=(LONG, [5000, 5400, 5800, 6200]), t325=(LONG, [289] * 4))
    ),
    "tiles by strip tags": made(
        tags(t324=None, t325=None) | {273: (LONG, [5000, 5400, 5800, 6200]), 279: (LONG, [256] * 4)}
    ),
    "YCbCr 1:1": made(strips(**YCBCR, t530=(SHORT, [1, 1]))),
    "YCbCr 2:2": made(strips(**YCBCR)),
    "YCbCr 2:1": made(strips(**YCBCR, t530=(SHORT, [2, 1]))),
    "YCbCr 4:4": made(strips(**YCBCR, t530=(SHORT, [4, 4]))),
    "YCbCr of odd size": made(
        strips(**YCBCR, t256=(LONG, [31]), t257=(LONG, [29]), t278=(LONG, [8]))
        | {273: (LONG, [5000, 5500, 6000, 6500]), 279: (LONG, [384, 384, 384, 288])}
    ),
    "YCbCr words": made(strips(t262=(SHORT, [6]), t258=(SHORT, [16] * 3), t277=(SHORT, [3]), t530=(SHORT, [1, 1]))),
    "old LZW": coded(5, old_lzw(PIXELS)),
    "deflate and more bytes": coded(8, zlib.compress(PIXELS) + b"\x55" * 50),
    "deflate without byte count": coded(8, zlib.compress(PIXELS), t279=None),
    "deflate of reversed bits": coded(8, imagecodecs.bitorder_decode(zlib.compress(PIXELS)), t266=(SHORT, [2])),
    "LZW of too much": coded(5, imagecodecs.lzw_encode(NOISE[:3000])),
    "PackBits and padding": coded(32773, imagecodecs.packbits_encode(PIXELS) + b"\0"),
    "LZMA of too much": coded(34925, imagecodecs.lzma_encode(NOISE[:3000])),
}
REFUSED = {
    "offsets missing": made(strips(t273=None)),
    "byte counts of two strips missing": made(strips(t273=(LONG, [AT, 5600]), t278=(LONG, [16]), t279=None)),
    "strips without rows": made(strips(t278=(LONG, [0]))),
    "behind the end": made(strips(t273=(LONG, [100_000]))),
    "unknown planes": made(strips(t284=(SHORT, [3]))),
    "unknown sample format": made(strips(t339=(SHORT, [7]))),
    "two widths": made(strips(t256=(LONG, [32, 32]))),
    "alpha of no kind": made(strips(t277=(SHORT, [2]), t338=(SHORT, [3]))),
    "33 bits": made(strips(t258=(SHORT, [33]))),
    "short deflate": coded(8, zlib.compress(PIXELS[:1000])),
    "short LZW": coded(5, imagecodecs.lzw_encode(PIXELS[:1000])),
    "short PackBits": coded(32773, imagecodecs.packbits_encode(PIXELS[:1000])),
    "short ZSTD": coded(50000, imagecodecs.zstd_encode(PIXELS[:1000])),
    "short LZMA": coded(34925, imagecodecs.lzma_encode(PIXELS[:1000])),
    "damaged deflate": coded(8, zlib.compress(PIXELS)[:-3] + b"\0\0\0"),
    "predictor of odd bits": coded(8, zlib.compress(NOISE[:1536]), t258=(SHORT, [12]), t317=(SHORT, [2])),
    "predictor of integers": coded(8, zlib.compress(PIXELS), t317=(SHORT, [3])),
}


@pytest.fixture(scope="module")
def reads() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.mark.parametrize("name", READ)
def test_read_as_rasterio_reads_it(tmp_path: Path, reads: Engine, name: str) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(READ[name])
    with rasterio.open(path) as dataset:
        expected = dataset.read()
    found = reads.read(path)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected, equal_nan=found.dtype.kind in "fc")


@pytest.mark.parametrize("name", REFUSED)
def test_refused_as_rasterio_refuses_it(tmp_path: Path, reads: Engine, name: str) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(REFUSED[name])
    with pytest.raises(rasterio.errors.RasterioError), rasterio.open(path) as dataset:
        dataset.read()
    with pytest.raises(SourceError):
        reads.read(path)


@pytest.mark.parametrize(
    ("compression", "raw"),
    [(8, zlib.compress(bytes(50_000_000))), (50000, imagecodecs.zstd_encode(bytes(50_000_000)))],
    ids=["deflate", "zstd"],
)
def test_bombs_are_refused(tmp_path: Path, reads: Engine, compression: int, raw: bytes) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(strips(t259=(SHORT, [compression]), t279=(LONG, [len(raw)])), size=AT) + raw)
    with pytest.raises(SourceError, match="does not decode"):
        reads.read(path)
