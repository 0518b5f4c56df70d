"""What is said when nothing answers: the condition at fault, and the nearest there is, word by word."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import rasterio
import shapely
from rasterio.warp import transform_bounds

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import (
    BBox,
    BBoxes,
    DateRange,
    Filter,
    Geometries,
    ReadRequest,
    Window,
    Windows,
)
from rasterflight_server.catalog import Collection
from rasterflight_server.errors import NoDataError, RequestError, ServiceError
from rasterflight_server.ingest import build_index
from rasterflight_server.plan.planner import plan_read, select
from rasterflight_server.plan.request import parse_request

RASTER = "m_4709963_se_14_1_20090818.tif"


def box(*bounds: float) -> dict[str, Any]:
    return json.loads(shapely.to_geojson(shapely.box(*bounds)))


# The outlines are not where the raster is: what counts here are footprints.
FEATURES: list[tuple[str, str | None, dict[str, Any] | None, dict[str, Any]]] = [
    ("a", "2023-12-28T10:12:00Z", box(0, 0, 10, 10), {"eo:cloud_cover": 12.5, "split": "train"}),
    ("b", "2024-02-05T00:00:00.5Z", box(0, 0, 10, 10), {"eo:cloud_cover": 50, "split": "test"}),
    ("c", "2024-01-10T12:00:00Z", box(50, 50, 60, 60), {"eo:cloud_cover": 80}),
    ("d", None, box(100, -10, 110, 0), {"split": "val"}),
]


@pytest.fixture(scope="module")
def collection(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("nothing")
    shutil.copy(data / "naip-nd-4709963" / RASTER, folder / "x.tif")
    features = [
        {
            "type": "Feature",
            "id": record,
            "geometry": geometry,
            "properties": {"datetime": when, **properties},
            "assets": {"image": {"href": "x.tif"}},
        }
        for record, when, geometry, properties in FEATURES
    ]
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    build_index(folder / "items.json", folder / "index", "test")
    return Collection.open(folder / "index")


def areas(*bounds: float, crs: str = "OGC:CRS84") -> Geometries:
    minx, miny, maxx, maxy = bounds
    return Geometries(crs=crs, bboxes=BBoxes(values=[BBox(minx=minx, miny=miny, maxx=maxx, maxy=maxy)]))


def asked(collection: Collection, *filters: Filter, **fields: Any) -> ServiceError:
    message = ReadRequest(collection="test", bands=["image_1"], filters=filters, **fields)
    with pytest.raises(ServiceError) as caught:
        plan_read(collection, parse_request(message))
    error = caught.value
    assert error.collection == "test"
    if error.code is ErrorCode.NO_DATA:
        # the records layout has no rows, and no complaint
        message.layout = 2
        del message.bands[:]
        if "windows" not in fields:
            if "geometries" in fields:
                message.filters.add(geometries=fields["geometries"])
                message.ClearField("geometries")
            hits = select(collection, parse_request(message)).hits
            assert len(hits) == 0 or "not one pixel" in error.message
    return error


JANUARY = Filter(date_range=DateRange(start="2024-01-01", end="2024-01-31"))
EARLY = Filter(date_range=DateRange(start="2024-01-01", end="2024-01-05"))
CLEAR = Filter(cloud_cover_lt=5)
HERE = areas(1, 1, 2, 2)
ALL = "they lie within (0, -10, 110, 60) (lon/lat)"


def bbox(*bounds: float) -> Filter:
    return Filter(bbox=BBox(**dict(zip(("minx", "miny", "maxx", "maxy"), bounds, strict=True))))


@pytest.mark.parametrize(
    ("filters", "fields", "message", "hint"),
    [
        ([EARLY], {}, "no record matches date_range 2024-01-01/2024-01-05", "the nearest are from 2023-12-28T10:12:00Z and 2024-01-10T12:00:00Z"),
        ([Filter(date_range=DateRange(end="2023-12-27"))], {}, "no record matches date_range ../2023-12-27", "the nearest is from 2023-12-28T10:12:00Z"),
        ([Filter(date_range=DateRange(start="2024-02-05T01:00:00+00:00"))], {}, "no record matches date_range 2024-02-05T01:00:00+00:00/..", "the nearest is from 2024-02-05T00:00:00.500000Z"),
        ([CLEAR], {}, "no record matches cloud_cover_lt 5", "the lowest cloud cover is 12.5"),
        ([Filter(split=["tr", "va"])], {}, "no record matches split 'tr', 'va'", "the column 'split' holds 'test', 'train', 'val'"),
        ([Filter(split=["x"], split_column="id")], {}, "no record matches split 'x'", "the column 'id' holds 'a', 'b', 'c', 'd'"),
        ([bbox(11, 0, 12, 1)], {}, "no record matches bbox (11, 0, 12, 1)", f"the nearest footprint is that of 'a', 1° away; {ALL}"),
        ([Filter(where="split = 'x'\n AND \"eo:cloud_cover\" < 3")], {}, "no record matches where split = 'x' AND \"eo:cloud_cover\" < 3", "4 records match without it"),
        ([Filter(where=f"split = '{'x' * 90}'")], {}, f"no record matches where split = '{'x' * 48}...", "4 records match without it"),
        ([Filter(geometries=areas(70, 50, 71, 51))], {}, "no record matches the geometries of the filter", f"the nearest footprint is that of 'c', 10° away; {ALL}"),
        # Others that match nothing either have no say in what is near, others that match do.
        ([EARLY, CLEAR], {}, "no record matches date_range 2024-01-01/2024-01-05", "the nearest are from 2023-12-28T10:12:00Z and 2024-01-10T12:00:00Z"),
        ([EARLY, Filter(split=["train"])], {}, "no record matches date_range 2024-01-01/2024-01-05", "the nearest is from 2023-12-28T10:12:00Z"),
        ([EARLY], {"geometries": HERE}, "no record matches date_range 2024-01-01/2024-01-05", "the nearest are from 2023-12-28T10:12:00Z and 2024-02-05T00:00:00.500000Z"),
        ([EARLY, Filter(ids=["d"])], {}, "no record matches date_range 2024-01-01/2024-01-05", "none of them has a datetime"),
        ([CLEAR, Filter(ids=["d"])], {}, "no record matches cloud_cover_lt 5", "none of them says its cloud cover"),
        ([Filter(split=["x"]), Filter(ids=["c"])], {}, "no record matches split 'x'", "none of them has a value in the column 'split'"),
        # Each matches some, but not together.
        ([JANUARY, Filter(cloud_cover_lt=20)], {}, "no record matches date_range 2024-01-01/2024-01-31 and cloud_cover_lt 20 together", "without date_range: 1 record, the nearest is from 2023-12-28T10:12:00Z; without cloud_cover_lt: 1 record, the lowest cloud cover is 80"),
        ([Filter(ids=["a", "b"]), Filter(where="split = 'val'")], {}, "no record matches ids 'a', 'b' and where split = 'val' together", "without ids: 1 record; without where: 2 records"),
        ([JANUARY], {"geometries": HERE}, "no record matches date_range 2024-01-01/2024-01-31 and the geometries together", "without date_range: 2 records, the nearest are from 2023-12-28T10:12:00Z and 2024-02-05T00:00:00.500000Z; without the geometries: 1 record, the nearest footprint is that of 'c', 67.9° away; they lie within (50, 50, 60, 60) (lon/lat)"),
        ([JANUARY, Filter(split=["val"]), Filter(ids=["a"])], {}, "no record matches date_range 2024-01-01/2024-01-31, split 'val' and ids 'a' together", "alone, date_range matches 1 record; alone, split matches 1 record; alone, ids matches 1 record"),
        # One of several: the others are compatible.
        ([Filter(ids=["a"]), Filter(where='NOT "eo:cloud_cover" < 20'), Filter(split=["train"])], {}, '1 record matches the other conditions, but none where NOT "eo:cloud_cover" < 20', "1 record matches without it"),
        # The areas.
        ([], {"geometries": areas(20, 0, 21, 1)}, "none of the 4 records overlaps the geometries", f"the nearest footprint is that of 'a', 10° away; {ALL}; check geometry_crs and the order of coordinates"),
        ([Filter(split=["train", "test", "val"])], {"geometries": areas(20, 0, 21, 1)}, "3 records match the filters, but none overlaps the geometries", "the nearest footprint is that of 'a', 10° away; they lie within (0, -10, 110, 10) (lon/lat); check geometry_crs and the order of coordinates"),
        ([JANUARY], {"geometries": areas(20, 0, 21, 1)}, "1 record matches the filters, but none overlaps the geometries", "the nearest footprint is that of 'c', 56.9° away; they lie within (50, 50, 60, 60) (lon/lat); check geometry_crs and the order of coordinates"),
    ],
)  # fmt: skip
def test_words(collection: Collection, filters: list[Filter], fields: dict[str, Any], message: str, hint: str) -> None:
    error = asked(collection, *filters, **fields)
    assert isinstance(error, NoDataError)
    assert (error.message, error.hint) == (message, hint)


def test_windows_outside(collection: Collection, data: Path) -> None:
    with rasterio.open(data / "naip-nd-4709963" / RASTER) as raster:
        width, height = raster.width, raster.height
    windows = Windows(values=[Window(col_off=width, row_off=0, width=5, height=5)])
    error = asked(collection, windows=windows)
    assert error.code is ErrorCode.NO_DATA
    assert error.message == "not one pixel lies inside the windows, in none of the 4 records that match"
    assert error.hint == f"the raster of 'a' has {width} columns and {height} rows"


def test_footprints_that_reach_further_than_pixels(collection: Collection, data: Path) -> None:
    with rasterio.open(data / "naip-nd-4709963" / RASTER) as raster:
        covered = ", ".join(f"{bound:.10g}" for bound in raster.bounds)
        asked_for = transform_bounds("OGC:CRS84", raster.crs, 55, 55, 55.001, 55.001, densify_pts=0)
    error = asked(collection, geometries=areas(55, 55, 55.001, 55.001))
    assert error.code is ErrorCode.NO_DATA
    assert error.message == "the footprints of 1 record touch the geometries, but not one pixel lies inside"
    assert error.hint.startswith(f"in EPSG:26914, the raster of 'c' covers ({covered}), the geometries (")
    told = [float(bound) for bound in error.hint.rpartition("(")[2].rstrip(")").split(", ")]
    assert told == pytest.approx(asked_for, abs=1)


def test_a_far_footprint_is_found_among_many(collection: Collection) -> None:
    """Areas all around: bounds of areas and footprints overlap, and only the distances tell."""
    scattered = Geometries(crs="OGC:CRS84", bboxes=BBoxes(values=[
        BBox(minx=-50, miny=-50, maxx=-49, maxy=-49), BBox(minx=150, miny=80, maxx=151, maxy=81), BBox(minx=60, miny=49.5, maxx=61, maxy=49.75),
    ]))  # fmt: skip
    error = asked(collection, geometries=scattered)
    assert error.hint.startswith("the nearest footprint is that of 'c', 0.25° away")


def test_rasters_without_a_place(tmp_path: Path, data: Path) -> None:
    with rasterio.open(data / "naip-nd-4709963" / RASTER) as raster:
        profile = {**raster.profile, "crs": None, "transform": None, "count": 1}
    (tmp_path / "files").mkdir()
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(tmp_path / "files" / "a.tif", "w", **profile),
    ):
        pass
    build_index(tmp_path / "files", tmp_path / "index", "test")
    collection = Collection.open(tmp_path / "index")
    (band,) = collection.bands
    message = ReadRequest(collection="test", bands=[band], geometries=HERE)
    with pytest.raises(RequestError, match="no raster that matches the filters says where it lies") as caught:
        plan_read(collection, parse_request(message))
    assert (caught.value.code, caught.value.field) == (ErrorCode.UNSUPPORTED_LAYOUT, "geometries")
    assert caught.value.hint == "ask for pixel windows instead"
    filtered = ReadRequest(collection="test", bands=[band], filters=[bbox(0, 0, 1, 1)])
    with pytest.raises(NoDataError) as nothing:
        plan_read(collection, parse_request(filtered))
    assert (nothing.value.message, nothing.value.hint) == (
        "no record matches bbox (0, 0, 1, 1)",
        "none of them says where it lies",
    )
