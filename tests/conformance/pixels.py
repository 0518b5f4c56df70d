"""What rasterio says of the pixels of a case."""

import base64
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import rasterio
import rasterio.features
import rasterio.warp
import shapely
from affine import Affine
from google.protobuf import json_format
from rasterio.windows import Window

from conformance.runner import Case
from rasterflight._chips import read_chips
from rasterflight._rows import Chip
from rasterflight_protocol.schemas import GRID_KEY
from rasterflight_protocol.v1 import read_pb2 as pb
from rasterflight_server.types import Grid
from support.oracle import Cut, Layer, cut, layers, whole
from support.warping import by_rasterio

_DATELINE = 180
#: Methods that make floats of whole numbers, and may differ in the last bits.
_COMPUTED = {pb.RESAMPLING_BILINEAR, pb.RESAMPLING_CUBIC, pb.RESAMPLING_AVERAGE}


def has_pixels(case: Case) -> bool:
    """Whether a case is a read of chips that works, with all that is told of a chip."""
    if "error" in case["expected"] or "columns" in case["ticket"]:
        return False
    return case["ticket"].get("layout") in (None, "LAYOUT_CHIPS")


class Truth:
    """The pixels of a case, as rasterio has them.

    Parameters
    ----------
    folder
        With the items.json of the collection.
    """

    def __init__(self, case: Case, folder: Path) -> None:
        self._layers = {(layer.record_id, layer.band): layer for layer in layers(folder)}
        self._request = json_format.ParseDict(case["ticket"], pb.ReadRequest())
        self._areas = _areas(self._request, [base64.b64decode(area) for area in case.get("upload", ())])
        levels = case["expected"].get("plan", {}).get("levels", [])
        self._levels = {each["band"]: each["levels"] for each in levels}

    def check(self, table: pa.Table) -> None:
        """Compare each pixel of each chip, where it lies, and which chips there are."""
        if self._levels:
            # GDAL places pixels by rows of the whole grid: on a part of it they may be the neighbours of these
            told = json.loads(table.schema.metadata[GRID_KEY])
            self._grid = Grid(told["width"], told["height"], Affine(*told["transform"]), told["crs"])
        chips = list(read_chips(table.to_batches(), table.schema))
        for chip in chips:
            for band in chip.pixels:
                self._check_band(chip, band)
        if self._areas and not self._levels and not self._request.HasField("shard"):
            pairs = dict.fromkeys((chip.record_id, chip.geometry_id) for chip in chips)
            assert list(pairs) == list(self._pairs(chips))

    def _pairs(self, chips: list[Chip]) -> dict[tuple[str, int], None]:
        """Pairs of record and area that overlap; of the records that came, where a filter or an error chose some."""
        request = self._request
        chosen = request.filters or request.HasField("start") or request.on_error == pb.ON_ERROR_SKIP
        records = dict.fromkeys(chip.record_id if chosen else None for chip in chips)
        return {
            (layer.record_id, number): None
            for layer in self._layers.values()
            if layer.band == request.bands[0] and (not chosen or layer.record_id in records)
            for number, area in enumerate(self._areas, 1)
            if number in (request.geometry_ids or [number])
            if self._cut(layer, area) is not None
        }

    def _check_band(self, chip: Chip, band: str) -> None:
        layer = self._layers[chip.record_id, band]
        place = 0 if chip.geometry_id is None else chip.geometry_id - 1
        with rasterio.open(layer.path) as dataset:
            nodata = dataset.nodata
        invalid = None
        if self._levels:
            expected, invalid = self._warped(layer, chip, place)
        elif self._areas:
            expected = self._cut(layer, self._areas[place])
        else:
            expected = self._window(layer, place)
        assert expected is not None
        assert Affine(*chip.transform) == expected.transform
        pixels = expected.pixels
        if self._request.grid.values == pb.VALUES_SCALED:
            with rasterio.open(layer.path) as dataset:
                scale, offset = np.float32(dataset.scales[0]), np.float32(dataset.offsets[0])
            pixels = np.where(pixels == nodata, np.float32("nan"), pixels.astype(np.float32) * scale + offset)
        masks = chip.masks.get(band)
        if masks is not None:
            if invalid is None:
                invalid = self._invalid(layer, expected, place, nodata)
            np.testing.assert_array_equal(masks, invalid)
            np.testing.assert_array_equal(chip.pixels[band][~masks], pixels[~masks])
        elif chip.pixels[band].dtype.kind == "f" and self._levels:
            np.testing.assert_allclose(chip.pixels[band], pixels, rtol=3e-7)
        else:
            np.testing.assert_array_equal(chip.pixels[band], pixels, strict=True)

    def _cut(self, layer: Layer, area: shapely.Geometry) -> Cut | None:
        crs = self._request.geometries.crs
        if isinstance(area, shapely.GeometryCollection) and not isinstance(area, shapely.MultiPolygon):
            with rasterio.open(layer.path) as dataset:
                area = area.geoms[0 if dataset.bounds.left > 0 else 1]
        return cut(layer, area, crs, all_touched=self._request.grid.all_touched)

    def _window(self, layer: Layer, place: int) -> Cut:
        if not self._request.windows.values:
            return whole(layer)
        asked = self._request.windows.values[place]
        with rasterio.open(layer.path) as dataset:
            window = Window(asked.col_off, asked.row_off, asked.width, asked.height)
            window = window.intersection(Window(0, 0, dataset.width, dataset.height))
            return Cut(dataset.read(layer.index, window=window), dataset.window_transform(window), dataset.crs)

    def _outside(self, expected: Cut, place: int) -> np.ndarray:
        shape = expected.pixels.shape
        if not self._areas:
            return np.zeros(shape, np.bool_)
        area = shapely.geometry.mapping(self._areas[place])
        shapes = [rasterio.warp.transform_geom(self._request.geometries.crs, expected.crs, area)]
        touched = self._request.grid.all_touched
        return rasterio.features.geometry_mask(shapes, shape, expected.transform, all_touched=touched)

    def _invalid(self, layer: Layer, expected: Cut, place: int, nodata: float | None) -> np.ndarray:
        outside = self._outside(expected, place)
        if nodata is None:
            return outside
        return outside | (np.isnan(expected.pixels) if np.isnan(nodata) else expected.pixels == nodata)

    def _warped(self, layer: Layer, chip: Chip, place: int) -> tuple[Cut, np.ndarray]:
        """What rasterio makes on the grid of a chip, and where it has nothing."""
        grid = self._request.grid
        method = grid.band_resampling.get(layer.band, grid.resampling)
        [level] = self._levels[layer.band]
        with rasterio.open(layer.path, **({"overview_level": level - 1} if level else {})) as dataset:
            pixels = dataset.read(layer.index)
            source = Grid(dataset.width, dataset.height, dataset.transform, dataset.crs.to_string())
        assert chip.transform is not None
        place_of_chip = Affine(*chip.transform)
        col, row = map(round, ~self._grid.transform @ (place_of_chip.c, place_of_chip.f))
        inside = slice(row, row + chip.height), slice(col, col + chip.width)
        name = pb.Resampling.Name(method).removeprefix("RESAMPLING_").lower()
        reached = by_rasterio(np.ones_like(pixels), source, self._grid, "nearest", None, 0)[inside] == 1
        dtype, missing = (np.float32, np.nan) if method in _COMPUTED else (pixels.dtype, 0)
        made = by_rasterio(pixels, source, self._grid, name, None, missing, dtype)[inside]
        expected = Cut(made, place_of_chip, chip.crs)
        outside = self._outside(expected, place)
        made[outside] = missing
        return expected, outside | ~reached


def _areas(request: pb.ReadRequest, upload: list[bytes]) -> list[shapely.Geometry]:
    """The areas of a request; those across the antimeridian as a collection of their two parts."""
    values = upload or request.geometries.wkb.values
    return [_box(box) for box in request.geometries.bboxes.values] + [shapely.from_wkb(value) for value in values]


def _box(box: pb.BBox) -> shapely.Geometry:
    if box.minx <= box.maxx:
        return shapely.box(box.minx, box.miny, box.maxx, box.maxy)
    east = shapely.box(box.minx, box.miny, _DATELINE, box.maxy)
    return shapely.GeometryCollection([east, shapely.box(-_DATELINE, box.miny, box.maxx, box.maxy)])
