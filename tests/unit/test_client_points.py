import decimal
import json

import duckdb
import geopandas as gpd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import shapely

from rasterflight import errors
from rasterflight._points import PointSet, check_point_columns, point_sets
from support.geoarrow import (
    ARRAYS,
    PLAIN_ARRAYS,
    PLAIN_TABLES,
    TABLES,
    UNKNOWN_WHEN_REGISTERED,
    dense_union,
    extension,
    registered_types,
    table,
)

X, Y = [1.0, -2.5, 3.25], [4.0, 5.5, -6.75]
XY = list(zip(X, Y, strict=True))
POINTS = [shapely.Point(xy) for xy in XY]
FRAME = gpd.GeoDataFrame({"name": ["a", "b", "c"]}, geometry=POINTS, crs=2263)
FEATURES = [
    {"type": "Feature", "properties": {"a": 1}, "geometry": shapely.geometry.mapping(point)} for point in POINTS
]


def points_from(points, **keywords) -> PointSet:
    """All points as one set."""
    [only] = point_sets(points, size=1 << 20, **keywords)
    return only


def check(found, crs="OGC:CRS84", names=None):
    assert found.x.dtype == found.y.dtype == np.float64
    assert (found.x.tolist(), found.y.tolist()) == (X, Y)
    assert len(found) == 3
    assert found.crs == crs
    assert (None if found.columns is None else found.columns.to_pydict()) == names


@pytest.mark.parametrize(
    "given",
    [
        XY,
        [list(xy) for xy in XY],
        [np.array(xy) for xy in XY],
        iter(XY),
        np.array(XY),
        POINTS,
        np.array(POINTS, object),
        [shapely.Point(x, y, 7) for x, y in XY],
        [shapely.MultiPoint([xy]) for xy in XY],
        list(shapely.to_wkb(POINTS)),
        [shapely.to_wkb(shapely.set_srid(point, 2263), include_srid=True) for point in POINTS],
        FEATURES,
        {"type": "FeatureCollection", "features": FEATURES},
        [XY[0], POINTS[1], shapely.to_wkb(POINTS[2])],
        [*FEATURES[:2], np.array(XY[2])],
        pd.Series(POINTS),
    ],
)
def test_what_cannot_say_a_crs_is_in_lon_lat(given):
    check(points_from(given))


@pytest.mark.parametrize(
    "given", [XY[0], list(XY[0]), np.array(XY[0]), (1, 4), POINTS[0], shapely.to_wkb(POINTS[0]), FEATURES[0]]
)
def test_one_point(given):
    found = points_from(given, geometry_crs=2263)
    assert (found.x.tolist(), found.y.tolist(), found.crs) == (X[:1], Y[:1], "EPSG:2263")


@pytest.mark.parametrize("form", PLAIN_ARRAYS)
def test_plain_wkb_arrays_are_in_lon_lat(form):
    check(points_from(PLAIN_ARRAYS[form](FRAME.geometry)))
    check(points_from(PLAIN_ARRAYS[form](FRAME.geometry), geometry_crs="EPSG:2263"), "EPSG:2263")


@pytest.mark.parametrize("form", ARRAYS)
def test_geoarrow_arrays_say_their_crs(form):
    check(points_from(ARRAYS[form](FRAME)), "EPSG:2263")


@pytest.mark.parametrize("form", TABLES)
def test_tables_say_their_crs_and_keep_their_columns(form):
    found = points_from(TABLES[form](FRAME))
    crs = FRAME.crs.to_wkt() if form == "wkt" else "EPSG:2263"
    check(found, crs, {"name": ["a", "b", "c"]})


@pytest.mark.parametrize("form", [form for form in TABLES if form not in UNKNOWN_WHEN_REGISTERED])
def test_tables_with_registered_types(form):
    with registered_types():
        found = points_from(TABLES[form](FRAME))
    assert (found.x.tolist(), found.y.tolist()) == (X, Y)
    assert found.columns.column_names == ["name"]


@pytest.mark.parametrize("form", PLAIN_TABLES)
def test_plain_tables_are_told_column_and_crs(form):
    given = PLAIN_TABLES[form](FRAME)
    check(points_from(given, geometry_column="geometry", geometry_crs=2263), "EPSG:2263", {"name": ["a", "b", "c"]})
    with pytest.raises(
        errors.CrsRequiredError, match=r'the points have no CRS \(pass geometry_crs=.*"OGC:CRS84"'
    ) as caught:
        points_from(given, geometry_column="geometry")
    assert (caught.value.code, caught.value.field) == ("CRS_REQUIRED", "points.crs")
    with pytest.raises(errors.BadRequestError, match=r"no column that says it holds geometries .*: name, geometry\)"):
        points_from(given)


def test_frames():
    check(points_from(FRAME), "EPSG:2263", {"name": ["a", "b", "c"]})
    check(points_from(FRAME.geometry), "EPSG:2263")
    check(points_from(FRAME[["geometry"]]), "EPSG:2263")
    check(
        points_from(FRAME.set_crs(None, allow_override=True), geometry_crs=4326), "EPSG:4326", {"name": ["a", "b", "c"]}
    )
    with pytest.raises(errors.CrsRequiredError, match="the points have no CRS"):
        points_from(FRAME.geometry.set_crs(None, allow_override=True))
    with pytest.raises(
        errors.CrsRequiredError, match="geometry_crs is EPSG:4326, but the points say that they are in EPSG:2263"
    ):
        points_from(FRAME, geometry_crs=4326)


def test_other_geometries_of_a_frame_are_columns():
    frame = FRAME.assign(home=FRAME.geometry.buffer(1))
    found = points_from(frame)
    assert found.columns.schema.field("home").metadata[b"ARROW:extension:name"] == b"geoarrow.wkb"
    assert shapely.from_wkb(found.columns["home"][0].as_py()).equals(frame.home[0])
    with pytest.raises(errors.BadGeometryError, match=r"point 0 is a Polygon .*get_gdf"):
        points_from(frame, geometry_column="home")


def test_a_frame_of_what_arrow_has_no_type_for():
    with pytest.raises(errors.BadRequestError, match=r"does not become an Arrow table: .*odd.* \(drop the column"):
        points_from(FRAME.assign(odd=[object(), 1, "a"]))


NUMBERS = {
    "float64": (pa.array(X), pa.array(Y)),
    "decimal": (pa.array(list(map(decimal.Decimal, map(str, X)))), pa.array(list(map(decimal.Decimal, map(str, Y))))),
    "float32": (pa.array(X, pa.float32()), pa.array(Y, pa.float32())),
    "mixed": (pa.array(X), pa.array(Y, pa.float32())),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_coordinates_in_columns(kind):
    x, y = NUMBERS[kind]
    given = pa.table({"lon": x, "name": list("abc"), "lat": y})
    check(points_from(given, x_column="lon", y_column="lat", geometry_crs=2263), "EPSG:2263", {"name": list("abc")})


def test_coordinates_in_columns_of_anybody():
    names = {"x_column": "lon", "y_column": "lat", "geometry_crs": "OGC:CRS84"}
    columns = {"lon": X, "lat": Y, "name": list("abc")}
    check(points_from(pl.DataFrame(columns), **names), names={"name": list("abc")})
    check(points_from(pd.DataFrame(columns), **names), names={"name": list("abc")})
    check(points_from(FRAME.drop(columns="geometry").assign(lon=X, lat=Y), **names), names={"name": list("abc")})
    frame = points_from(FRAME.assign(lon=X, lat=Y), **names)
    assert frame.columns.column_names == ["name", "geometry"]
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE t AS SELECT * FROM (VALUES (1.0, 4.0, 'a'), (-2.5, 5.5, 'b'), (3.25, -6.75, 'c')) v(lon, lat, name)"
    )
    check(points_from(con.sql("FROM t"), **names), names={"name": list("abc")})


def test_integers_beyond_float_do_not_stop_a_read():
    found = points_from(pa.table({"x": [2**53 + 1], "y": [1]}), x_column="x", y_column="y", geometry_crs=3857)
    assert found.x.tolist() == [2.0**53]


def test_a_geometry_column_of_duckdb():
    con = duckdb.connect()
    told = con.sql("SELECT 'POINT (1 4)'::GEOMETRY('OGC:CRS84') AS place, 'a' AS name")
    assert points_from(told).crs == "OGC:CRS84"
    untold = con.sql("SELECT 'POINT (1 4)'::GEOMETRY AS place, 'a' AS name")
    with pytest.raises(errors.CrsRequiredError, match="the points have no CRS"):
        points_from(untold)
    found = points_from(untold, geometry_crs="OGC:CRS84")
    assert (found.x.tolist(), found.y.tolist(), found.columns.to_pydict()) == ([1.0], [4.0], {"name": ["a"]})


TABLE = pa.table({"lon": X, "lat": Y, "name": list("abc")})


@pytest.mark.parametrize(
    ("given", "keywords", "field", "words"),
    [
        (TABLE, {"x_column": "lon"}, "x_column", "x_column and y_column go together, and only one is given"),
        (TABLE, {"y_column": "lat"}, "x_column", "x_column and y_column go together"),
        (TABLE, {"x_column": "lon", "y_column": "lat", "geometry_column": "g"}, "geometry_column", "geometry_column is given beside x_column and y_column"),
        (TABLE, {"x_column": "long", "y_column": "lat"}, "x_column", r"the table has no column 'long' \(the columns are: lon, lat, name\)"),
        (TABLE, {"x_column": "lon", "y_column": "nam"}, "y_column", r"the table has no column 'nam' \(the columns are: name, lon, lat\)"),
        (TABLE, {"x_column": "lon", "y_column": "name"}, "y_column", "the column 'name' is string, expected numbers"),
        (TABLE, {"geometry_column": "name"}, "geometry_column", "the column 'name' is string, and says nothing about geometries"),
        (TABLE, {}, "geometry_column", r"no column that says it holds geometries .*name a column of WKB with geometry_column="),
        (pa.table([[1], [2], [3]], names=["x", "x", "y"]), {"x_column": "x", "y_column": "y"}, "x_column", "the table has 2 columns named 'x'"),
        (FRAME, {"geometry_column": "geom"}, "geometry_column", "the GeoDataFrame has no column 'geom'"),
        (FRAME, {"geometry_column": "name"}, "geometry_column", "the column 'name' holds no geometries"),
    ],
)  # fmt: skip
def test_columns_that_are_not_there_or_not_clear(given, keywords, field, words):
    with pytest.raises(errors.BadRequestError, match=words) as caught:
        points_from(given, **keywords)
    assert (caught.value.code, caught.value.field) == ("BAD_REQUEST", field)


@pytest.mark.parametrize("given", [XY, np.array(XY), POINTS[0], FRAME.geometry, PLAIN_ARRAYS["binary"](FRAME.geometry)])
def test_columns_are_for_tables(given):
    with pytest.raises(TypeError, match=r"x_column= and y_column= name columns of a table, and points= is"):
        points_from(given, x_column="x", y_column="y")


def test_several_geometry_columns():
    field, storage = extension("wkb", PLAIN_ARRAYS["binary"](FRAME.geometry), crs="EPSG:2263")
    two = pa.Table.from_arrays([storage, storage], schema=pa.schema([field.with_name("one"), field.with_name("two")]))
    with pytest.raises(
        errors.BadRequestError, match=r"several geometry columns: one, two \(say which with geometry_column="
    ):
        points_from(two)
    assert points_from(two, geometry_column="two").columns.column_names == ["one"]


NAN, INF = float("nan"), float("inf")
BAD = {
    "polygon": ([POINTS[0], shapely.box(0, 0, 1, 1)], r"point 1 is a Polygon \(pixels of areas are what get_gdf and get_numpy are for"),
    "line in wkb": ([shapely.to_wkb(shapely.LineString([(0, 0), (1, 1)]))], "point 0 is a LineString .*get_gdf and get_numpy"),
    "two in one": ([POINTS[0], shapely.MultiPoint(XY)], r"point 1 is a MultiPoint of 3 points, expected one \(take it apart"),
    "empty": (np.array([*POINTS, shapely.Point()], object), "point 3 is empty"),
    "empty multi": ([shapely.MultiPoint()], "point 0 is empty"),
    "none": ([POINTS[0], None], "point 1 is missing"),
    "none in a series": (gpd.GeoSeries([*POINTS, None], crs=2263), "point 3 is missing"),
    "nan": (np.array([*XY, (1, NAN)]), r"point 3 \(1.0, nan\) has a coordinate that is missing, NaN or infinite"),
    "inf": ([XY[0], (INF, 1.0)], r"point 1 \(inf, 1.0\) has a coordinate"),
    "inf in a shape": ([shapely.Point(1, INF)], r"point 0 \(1.0, inf\) has a coordinate"),
    "no wkb": ([shapely.to_wkb(POINTS[0]), b"\x01no"], "point 1 is no valid WKB"),
    "bad geojson": ([FEATURES[0], {"type": "Point"}], "a GeoJSON Point cannot be read"),
    "no geometry": ({"type": "Feature", "geometry": None}, "a Feature has no geometry"),
    "geojson polygon": ([FEATURES[0], shapely.geometry.mapping(shapely.box(0, 0, 1, 1))], "point 1 is a Polygon"),
    "null wkb": (pa.chunked_array([PLAIN_ARRAYS["binary"](FRAME.geometry), pa.array([None], pa.binary())]), "point 3 is missing"),
    "native null": (gpd.GeoSeries([*POINTS[:2], None], crs=2263).to_arrow(geometry_encoding="geoarrow"), "point 2 is missing"),
    "native polygons": (FRAME.buffer(1).to_arrow(geometry_encoding="geoarrow"), "a column of geoarrow.polygon, which holds no points .*get_gdf"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_point_is_named(case):
    given, words = BAD[case]
    with pytest.raises(errors.BadGeometryError, match=words) as caught:
        points_from(given)
    assert (caught.value.code, caught.value.field) == ("BAD_GEOMETRY", "points")


def test_points_are_counted_over_batches():
    given = pa.table({"x": [1.0, 2.0, None], "y": Y}).to_reader(max_chunksize=1)
    with pytest.raises(errors.BadGeometryError, match=r"point 2 \(nan, -6.75\)"):
        points_from(given, x_column="x", y_column="y", geometry_crs=2263)
    polygons = FRAME.assign(geometry=[*POINTS[:2], shapely.box(0, 0, 1, 1)])
    with pytest.raises(errors.BadGeometryError, match="point 2 is a Polygon"):
        points_from(pa.table(polygons.to_arrow()).to_reader(max_chunksize=1))


@pytest.mark.parametrize(
    "given",
    ["POINT (1 2)", 7, None, [(1, 2, 3)], [("1", "2")], [7], np.zeros((2, 3)), np.array(["a"]), pa.array([1.5])],
)
def test_what_is_no_input(given):
    with pytest.raises(
        TypeError, match=r"point(s| 0) is .*, expected (a tuple \(x, y\).* Shapely .* GeoDataFrame|numbers|WKB)"
    ):
        points_from(given)


def test_nothing_is_no_error():
    for nothing in ([], np.empty((0, 2)), {"type": "FeatureCollection", "features": []}, pa.array([], pa.binary())):
        found = points_from(nothing)
        assert (len(found), found.crs, found.columns) == (0, "OGC:CRS84", None)
    assert len(points_from(FRAME[:0])) == 0
    for given in (pa.table(FRAME[:0].to_arrow()), pa.table(FRAME.to_arrow()).schema.empty_table().to_reader()):
        found = points_from(given)
        assert (found.x.dtype, found.crs, found.columns.schema.names) == (np.float64, "EPSG:2263", ["name"])


def test_an_old_geojson_says_its_crs():
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2263"}}
    collection = {"type": "FeatureCollection", "features": FEATURES, "crs": named}
    assert points_from(collection).crs == "urn:ogc:def:crs:EPSG::2263"
    assert points_from(collection, geometry_crs=4326).crs == "EPSG:4326"


@pytest.mark.parametrize("dims", ["XYZ", "XYM", "XYZM"])
@pytest.mark.parametrize("interleaved", [True, False])
def test_further_dimensions_are_left_behind(dims, interleaved):
    names = list(dims.lower())
    values = {"x": X, "y": Y, "z": [7.0] * 3, "m": [8.0] * 3}
    if interleaved:
        rows = list(zip(*(values[name] for name in names), strict=True))
        storage = pa.array(rows, pa.list_(pa.field(dims.lower(), pa.float64()), len(dims)))
    else:
        storage = pa.StructArray.from_arrays([pa.array(values[name]) for name in names], names)
    check(points_from(table(*extension("point", storage, crs="EPSG:2263"))), "EPSG:2263")


def test_a_union_of_points():
    mixed = dense_union(shapely.MultiPoint(XY[:1]), POINTS[1], POINTS[2])
    field, storage = extension("geometry", mixed, crs="EPSG:2263")
    check(points_from(table(field, storage)), "EPSG:2263")
    field, storage = extension("geometry", dense_union(POINTS[0], shapely.box(0, 0, 1, 1)), crs="EPSG:2263")
    with pytest.raises(errors.BadGeometryError, match="point 1 is a Polygon"):
        points_from(table(field, storage))


def test_edges_say_nothing_about_points():
    field, storage = extension("wkb", PLAIN_ARRAYS["binary"](FRAME.geometry), crs="EPSG:2263", edges="spherical")
    check(points_from(table(field, storage)), "EPSG:2263")


def test_geoparquet_without_crs_is_lon_lat_and_with_null_is_unknown():
    plain = PLAIN_TABLES["pyarrow"](FRAME)

    def geo(**column):
        return plain.replace_schema_metadata(
            {"geo": json.dumps({"columns": {"geometry": {"encoding": "WKB", **column}}})}
        )

    assert points_from(geo()).crs == "OGC:CRS84"
    with pytest.raises(errors.CrsRequiredError, match="the points have no CRS"):
        points_from(geo(crs=None))


class Counted:
    """A stream that says how many batches were taken."""

    def __init__(self, batches, size):
        self.taken = 0
        self._schema = pa.schema({"x": pa.float64(), "y": pa.float64(), "n": pa.int64()})
        self._batches, self._size = batches, size

    def _all(self):
        for batch in range(self._batches):
            self.taken += 1
            numbers = np.arange(self._size) + batch * self._size
            yield pa.record_batch([numbers * 1.0, numbers * 2.0, numbers], schema=self._schema)

    def __arrow_c_stream__(self, requested_schema=None):
        return pa.RecordBatchReader.from_batches(self._schema, self._all()).__arrow_c_stream__()


@pytest.mark.parametrize(("batch", "size"), [(10, 7), (7, 10), (10, 10), (1, 3), (30, 4), (5, 1000)])
def test_streams_are_cut_into_sets(batch, size):
    sets = list(point_sets(Counted(6, batch), size=size, x_column="x", y_column="y", geometry_crs=3857))
    total = 6 * batch
    assert [len(one) for one in sets] == [size] * (total // size) + [total % size] * (total % size > 0)
    assert np.concatenate([one.x for one in sets]).tolist() == list(range(total))
    assert np.concatenate([one.y for one in sets]).tolist() == [2 * n for n in range(total)]
    assert [n for one in sets for n in one.columns["n"].to_pylist()] == list(range(total))
    assert {one.crs for one in sets} == {"EPSG:3857"}


def test_streams_are_not_read_ahead():
    stream = Counted(1000, 10)
    sets = point_sets(stream, size=25, x_column="x", y_column="y", geometry_crs=3857)
    assert stream.taken == 0
    next(sets)
    assert stream.taken == 3
    next(sets)
    assert stream.taken == 5


@pytest.mark.parametrize("given", [XY, np.array(XY), FRAME, FRAME.to_arrow(), FRAME.geometry.to_arrow()])
def test_other_inputs_give_their_slices(given):
    sets = list(point_sets(given, size=2))
    assert [one.x.tolist() for one in sets] == [X[:2], X[2:]]
    if given is FRAME:
        assert [one.columns["name"].to_pylist() for one in sets] == [["a", "b"], ["c"]]


def test_no_points_are_one_empty_set():
    [found] = point_sets(pa.table(FRAME[:0].to_arrow()), size=5)
    assert (len(found), found.crs, found.columns.schema.names) == (0, "EPSG:2263", ["name"])


def test_sets_refuse_at_once_what_they_can():
    with pytest.raises(errors.CrsRequiredError, match="the points have no CRS"):
        point_sets(Counted(1, 1), size=5, x_column="x", y_column="y")
    sets = point_sets(Counted(2, 2), size=2, x_column="x", y_column="y", geometry_crs=3857)
    assert len(next(sets)) == 2


def test_columns_that_collide_are_listed():
    check_point_columns(["name", "other"], {"value"})
    with pytest.raises(
        errors.ColumnCollisionError, match=r"columns of its own named band, value \(rename those of the points"
    ):
        check_point_columns(["band", "name", "value"], {"value", "band"})
