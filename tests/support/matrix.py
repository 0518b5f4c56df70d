"""Many small GeoTIFFs: every layout with every codec, predictor, type and byte order that GDAL writes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

WIDTH, HEIGHT, BANDS = 37, 29, 2
INTS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float32", "float64"]
COMPLEX = ["complex_int16", "complex64", "complex128"]
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles": {"tiled": True, "blockxsize": 16, "blockysize": 16},
    "strips": {"blockysize": 10},
}
_PREDICTED = ["deflate", "lzw", "zstd", "lzma"]
_PLAIN = ["none", "packbits", "lerc", "lerc_deflate", "lerc_zstd"]
_NODATA = {"uint8": 255, "int8": -1, "float32": -9999.0, "float64": float("nan")}


@dataclass(frozen=True)
class Case:
    """A file to be written, and how."""

    name: str
    dtype: str
    bands: int = BANDS
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write it; half of the files in which nothing need be stored have a part that is not."""
        rng = np.random.default_rng(len(self.name))
        profile = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": self.bands, "dtype": self.dtype}
        place = {"crs": "EPSG:32631", "transform": Affine(10, 0, 500_000, 0, -10, 5_700_000)}
        with rasterio.open(path, "w", **profile, **place, **self.options) as dataset:
            if self.options.get("sparse_ok"):
                dataset.write(self._pixels(rng, 9, 9), window=rasterio.windows.Window(3, 2, 9, 9))
            else:
                dataset.write(self._pixels(rng, HEIGHT, WIDTH))

    def _pixels(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        shape = self.bands, height, width
        if "nbits" in self.options and self.dtype != "float32":
            return rng.integers(0, 2 ** self.options["nbits"], shape, dtype=self.dtype)
        if "alpha" in self.options:
            return rng.integers(0, 2, shape, dtype=self.dtype) * np.uint8(255)
        if self.dtype in INTS and self.options.get("compress") not in ("jpeg", "webp"):
            limits = np.iinfo(self.dtype)
            return rng.integers(limits.min, limits.max, shape, dtype=self.dtype, endpoint=True)
        waves = 100 + 40 * np.sin(np.arange(width) / 9) + 40 * np.cos(np.arange(height) / 7)[:, None]
        noisy = waves + rng.normal(size=shape)
        if self.dtype in COMPLEX:
            return (noisy + 1j * noisy[:, ::-1]).astype("complex128" if self.dtype == "complex128" else "complex64")
        return noisy.astype(self.dtype)


def lossless() -> Iterator[Case]:
    """Layout x codec x predictor x type x byte order x planar configuration, with and without nodata, some sparse."""
    for number, (layout, codec, dtype, order, interleave) in enumerate(
        product(LAYOUTS, [*_PLAIN, *_PREDICTED], [*INTS, *FLOATS, *COMPLEX], ["LITTLE", "BIG"], ["pixel", "band"])
    ):
        if codec.startswith("lerc") and (dtype in COMPLEX or dtype.endswith("int64") or order == "BIG"):
            continue
        for predictor in _predictors(codec, dtype):
            options = {**LAYOUTS[layout], "endianness": order, "interleave": interleave}
            if codec != "none":
                options["compress"] = codec
            if predictor > 1:
                options["predictor"] = predictor
            if number % 3 == 0 and dtype in _NODATA:
                options["nodata"] = _NODATA[dtype]
            if number % 5 == 0:
                options["sparse_ok"] = True
            yield Case(f"{layout}-{codec}{predictor}-{dtype}-{order[0]}-{interleave}", dtype, options=options)


def _predictors(codec: str, dtype: str) -> list[int]:
    if codec not in _PREDICTED:
        return [1]
    return [1] + [2] * (dtype != "complex128") + [3] * (dtype in FLOATS)


def odd_bits() -> Iterator[Case]:
    """Samples that do not fill bytes, half floats, fax."""
    for bits, layout, bands, codec in product(
        [1, 2, 3, 4, 5, 7, 9, 10, 12, 14, 15, 17, 24, 31], LAYOUTS, [1, 3], ["none", "deflate", "packbits"]
    ):
        dtype = "uint8" if bits < 8 else "uint16" if bits < 16 else "uint32"
        for order, interleave in (("LITTLE", "pixel"), ("BIG", "band")):
            options = {**LAYOUTS[layout], "nbits": bits, "interleave": interleave, "endianness": order}
            if codec != "none":
                options["compress"] = codec
            yield Case(f"{bits}bits-{layout}-{bands}-{codec}-{order[0]}", dtype, bands, options)
    for layout, order, predictor in product(LAYOUTS, ["LITTLE", "BIG"], [1, 2, 3]):
        options = {**LAYOUTS[layout], "nbits": 16, "endianness": order, "compress": "deflate", "predictor": predictor}
        yield Case(f"float16-{layout}-{order[0]}-{predictor}", "float32", options=options)
    for layout, codec, photometric in product(
        LAYOUTS, ["ccittrle", "ccittfax3", "ccittfax4"], ["minisblack", "miniswhite"]
    ):
        options = {**LAYOUTS[layout], "nbits": 1, "compress": codec, "photometric": photometric}
        yield Case(f"{codec}-{layout}-{photometric}", "uint8", 1, options)


def colours() -> Iterator[Case]:
    """Colour images whose answer does not depend on the build of libjpeg."""
    for layout, (photometric, bands) in product(
        LAYOUTS, [("minisblack", 1), ("minisblack", 2), ("rgb", 3), ("rgb", 4), ("cmyk", 4)]
    ):
        for tables in (0, 1, 3):
            # Strips of JPEG are a multiple of 8 rows high.
            rows = {"blockysize": 16} if layout == "strips" else {}
            options = {
                **LAYOUTS[layout],
                **rows,
                "compress": "jpeg",
                "photometric": photometric,
                "jpegtablesmode": tables,
            }
            yield Case(
                f"jpeg-{layout}-{photometric}{bands}-{tables}", "uint8", bands, {**options, "interleave": "pixel"}
            )
    for layout, bands, lossless in product(LAYOUTS, [3, 4], ["yes", "no"]):
        options = {**LAYOUTS[layout], "compress": "webp", "webp_lossless": lossless, "interleave": "pixel"}
        yield Case(f"webp-{layout}-{bands}-{lossless}", "uint8", bands, options)
    for layout, codec in product(LAYOUTS, ["none", "deflate", "lzw"]):
        options = {**LAYOUTS[layout], "photometric": "cmyk", "interleave": "pixel"}
        if codec != "none":
            options["compress"] = codec
        yield Case(f"cmyk-{layout}-{codec}", "uint8", 4, options)
    for layout, blocks in LAYOUTS.items():
        options = {**blocks, "compress": "lerc", "photometric": "rgb", "interleave": "pixel", "alpha": "yes"}
        yield Case(f"lerc-mask-{layout}", "uint8", 4, options)


CASES = [*lossless(), *odd_bits(), *colours()]
