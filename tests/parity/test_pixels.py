"""The pixels layout against rasterio, and against the chips of the same read."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import rasterio.features
import rasterio.warp
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.errors import WindowError

import rasterflight as rf
from conftest import COLLECTIONS
from rasterflight.errors import BadRequestError
from rasterflight_protocol.v1.read_pb2 import LAYOUT_PIXELS, BBox, BBoxes, Geometries, ReadRequest
from rasterflight_server.ingest import build_index
from rasterflight_server.plan.estimate import estimate
from rasterflight_server.plan.planner import plan_read
from support import oracle
from support.direct import direct
from support.patchwork import build_patchwork
from support.scenes import noise, write_items, write_scene

LONLAT = "OGC:CRS84"


def areas_of(folder: Path) -> list[shapely.Geometry]:
    """A star, one with a hole, and one that hangs over the edge of the first record."""
    with rasterio.open(oracle.layers(folder)[0].path) as dataset:
        west, south, east, north = rasterio.warp.transform_bounds(dataset.crs, LONLAT, *dataset.bounds)
    width, height = east - west, north - south
    angles = np.linspace(0, 2 * np.pi, 14)[:-1]
    radii = np.where(np.arange(13) % 2, 0.1, 0.35)
    x, y = west + width * (0.5 + radii * np.cos(angles)), south + height * (0.5 + radii * np.sin(angles))
    ring = shapely.box(west + 0.1 * width, south + 0.2 * height, west + 0.6 * width, south + 0.7 * height)
    hole = shapely.box(west + 0.3 * width, south + 0.3 * height, west + 0.4 * width, south + 0.6 * height)
    edge = shapely.box(west - 0.2 * width, south - 0.1 * height, west + 0.25 * width, south + 0.3 * height)
    return [shapely.Polygon(np.column_stack([x, y])), ring - hole, edge]


def one_grid(folder: Path) -> list[str]:
    """Bands that are on the grid of the first."""
    layers = oracle.layers(folder)
    grids = {}
    for layer in layers:
        with rasterio.open(layer.path) as dataset:
            grids.setdefault(layer.band, (dataset.shape, tuple(dataset.transform)))
    return [band for band in oracle.bands(folder) if grids[band] == grids[layers[0].band]]


def expected(folder: Path, bands: list[str], areas: list[shapely.Geometry], *, all_touched: bool) -> Iterator[dict]:
    """The columns of each record and area."""
    layers = oracle.layers(folder)
    for record in dict.fromkeys(layer.record_id for layer in layers):
        of_bands = {layer.band: layer for layer in layers if layer.record_id == record}
        for number, area in enumerate(areas, 1):
            columns: dict[str, Any] = {"record_id": record, "geometry_id": number}
            for band in bands:
                with rasterio.open(of_bands[band].path) as dataset:
                    shape = rasterio.warp.transform_geom(LONLAT, dataset.crs, shapely.geometry.mapping(area))
                    try:
                        window = rasterio.features.geometry_window(dataset, [shape])
                    except WindowError:
                        break
                    index = of_bands[band].index
                    pixels = dataset.read(index, window=window)
                    valid = dataset.read_masks(index, window=window) != 0
                    transform = dataset.window_transform(window)
                    inside = ~rasterio.features.geometry_mask([shape], pixels.shape, transform, all_touched=all_touched)
                    rows, cols = np.nonzero(inside)
                    x, y = dataset.transform * (window.col_off + cols + 0.5, window.row_off + rows + 0.5)
                    columns |= {"row": rows, "col": cols, "x": x, "y": y}
                    columns[band] = pa.array(pixels[inside], mask=~valid[inside])
            else:
                yield columns


@pytest.mark.parametrize("all_touched", [False, True])
@pytest.mark.parametrize("name", sorted(COLLECTIONS))
def test_rows_are_those_of_rasterio(client: rf.Client, name: str, data: Path, all_touched: bool) -> None:
    folder = data / COLLECTIONS[name]
    bands, areas = one_grid(folder), areas_of(folder)
    collection = client.collection(name)
    keywords: Any = {"geometries": areas, "bands": bands, "all_touched": all_touched, "layout": "pixels"}
    table = collection.read(**keywords).read_all()
    parts = list(expected(folder, bands, areas, all_touched=all_touched))
    assert table.num_rows == sum(len(part["row"]) for part in parts) > 0
    assert collection.plan(**keywords).rows == table.num_rows
    start = 0
    for part in parts:
        rows = table.slice(start, len(part["row"]))
        start += rows.num_rows
        assert set(rows["record_id"].to_pylist()) <= {part["record_id"]}
        assert set(rows["geometry_id"].to_pylist()) <= {part["geometry_id"]}
        for column in ("row", "col", "x", "y"):
            assert np.array_equal(rows[column], part[column]), column
        for band in bands:
            assert rows[band].combine_chunks().equals(part[band]), band


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rf.Client]:
    """Scenes on grids that do and do not line up, with nodata and of several types."""
    root = tmp_path_factory.mktemp("pixels")
    for name in ("patchwork", "fine"):
        (root / name).mkdir()
    indexes = {"patchwork": build_patchwork(root / "patchwork")}
    coarse = Affine(20, 0, 500_000, 0, -20, 5_700_000)
    write_scene(root / "fine" / "ten.tif", noise(120, 150, 1) % 50, nodata=7)
    write_scene(root / "fine" / "twenty.tif", noise(60, 75, 2) % 50, nodata=7, transform=coarse)
    write_scene(root / "fine" / "wide.tif", noise(3, 20_000, 3))
    sources = {
        "fine": write_items(root / "fine" / "items.json", {"a": {"ten": "ten.tif", "twenty": "twenty.tif"}}),
        "wide": write_items(root / "fine" / "wide.json", {"a": {"wide": "wide.tif"}}),
    }
    for name, source in sources.items():
        indexes[name] = root / f"{name}-index"
        build_index(source, indexes[name], name)
    with rf.local(indexes) as client:
        yield client


def rows_of_chips(stream: rf.Stream, bands: list[str]) -> list[tuple]:
    """What chips hold that is valid, as rows: record, area, row, col, and a value for each band (None: invalid)."""
    found = []
    for (record, area), chips in groupby(stream.chips(), key=lambda chip: (chip.record_id, chip.geometry_id)):
        # bands that are resampled in different ways make chips of their own
        of_bands = {band: (chip.pixels[band], chip.masks[band]) for chip in chips for band in chip.pixels}
        pixels, masks = zip(*(of_bands[band] for band in bands), strict=True)
        for row, col in np.argwhere(~np.stack(masks).all(axis=0)):
            values = [None if no[row, col] else of[row, col].item() for of, no in zip(pixels, masks, strict=True)]
            found.append((record, area, row, col, *values))
    return found


def rows_of_pixels(table: pa.Table, bands: list[str]) -> list[tuple]:
    columns = [table[name].to_pylist() for name in ("record_id", "geometry_id", "row", "col", *bands)]
    return [row for row in zip(*columns, strict=True) if any(value is not None for value in row[4:])]


EXTENT = (5.85, 51.39, 5.93, 51.44)
GRIDS = st.sampled_from(
    [
        {},
        {"target_crs": 3857},
        {"target_crs": 3857, "resolution": 400},
        {"target_crs": 32631, "resolution": 300, "resampling": "nearest"},
    ]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), grid=GRIDS, values=st.sampled_from(["raw", "scaled"]))
def test_rows_are_those_of_the_chips(made: rf.Client, data: st.DataObject, grid: dict, values: str) -> None:
    collection = made.collection("patchwork")
    bands = data.draw(st.sampled_from([["red"], ["dem", "red"], ["red", "dem"], ["scl"]]))
    west, south, east, north = EXTENT
    corners = [
        sorted(data.draw(st.lists(st.floats(low, high), min_size=2, max_size=2, unique=True)))
        for low, high in ((west, east), (south, north))
    ]
    area = (corners[0][0], corners[1][0], corners[0][1], corners[1][1])
    keywords: Any = {"geometries": [area, area], "bands": bands, "values": values, **grid}
    if data.draw(st.booleans()) and not grid:
        keywords = {"windows": [(3, 5, 40, 30), (0, 0, 11, 500)], "bands": bands, "values": values}
    try:
        chips = rows_of_chips(collection.read(masked=True, **keywords), bands)
    except rf.RasterflightError as error:
        with pytest.raises(type(error)):
            collection.read(layout="pixels", **keywords).read_all()
        return
    small = collection.read(layout="pixels", batch_bytes=1 << 16, **keywords)
    batches = list(small)
    assert all(batch.nbytes <= 1 << 16 for batch in batches)
    table = pa.Table.from_batches(batches, small.schema)
    found = rows_of_pixels(table, bands)
    assert [row[:2] for row in found] == [row[:2] for row in chips]
    assert found == chips
    assert table == collection.read(layout="pixels", **keywords).read_all()


def test_long_lines_do_not_make_large_batches(made: rf.Client) -> None:
    stream = made.collection("wide").read(bands=["wide"], layout="pixels", batch_bytes=1 << 16)
    batches = list(stream)
    assert max(batch.nbytes for batch in batches) <= 1 << 16
    table = pa.Table.from_batches(batches)
    assert table.num_rows == 60_000
    assert np.array_equal(table["col"], np.tile(np.arange(20_000), 3))
    assert np.array_equal(table["row"], np.repeat(np.arange(3), 20_000))


def test_bands_of_several_grids_are_refused(made: rf.Client) -> None:
    with pytest.raises(BadRequestError, match="the bands are on different grids") as caught:
        made.collection("fine").read(bands=["ten", "twenty"], layout="pixels")
    said = str(caught.value)
    assert "'ten' on 150 x 120 pixels" in said
    assert "'twenty' on 75 x 60 pixels" in said
    assert "resolution=" in said


def test_bands_of_several_grids_share_one_that_is_asked_for(made: rf.Client) -> None:
    collection = made.collection("fine")
    keywords: Any = {"bands": ["twenty", "ten"], "resolution": 10, "resampling": "nearest"}
    table = collection.read(layout="pixels", **keywords).read_all()
    assert table.num_rows == collection.plan(layout="pixels", **keywords).rows == 120 * 150
    cube = collection.get_xarray(masked=True, **keywords)
    for band in keywords["bands"]:
        values = np.ma.masked_array(cube[band].values.ravel(), cube[f"{band}_mask"].values.ravel())
        assert table[band].to_pylist() == values.tolist()
    assert np.array_equal(np.unique(table["x"]), cube.x.values)
    assert np.array_equal(np.unique(table["y"])[::-1], cube.y.values)
    some = collection.read(layout="pixels", columns=["ten", "y"], **keywords).read_all()
    assert some == table.select(["ten", "y"])


def test_rows_that_take_long_to_count_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    write_scene(tmp_path / "files" / "a.tif", noise(64, 64), tile=64)
    area = Geometries(
        crs="EPSG:32631", bboxes=BBoxes(values=[BBox(minx=500_100, miny=5_699_500, maxx=500_200, maxy=5_699_700)])
    )
    with direct(tmp_path / "files", tmp_path / "index") as reads:
        request = reads.request("a", request=ReadRequest(layout=LAYOUT_PIXELS, geometries=area))
        plan = plan_read(reads.collection, request)
        assert estimate(plan).rows == 10 * 20
        monkeypatch.setattr("rasterflight_server.plan.estimate._COUNTED_LINES", 19)
        assert estimate(plan).rows == -1
