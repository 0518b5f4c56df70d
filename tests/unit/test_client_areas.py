"""Areas in Arrow data: every encoding, by every library, gives the same WKB."""

import json

import duckdb
import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rasterflight import errors
from rasterflight._geometries import areas_from
from support.geoarrow import (
    ARRAYS,
    PLAIN_ARRAYS,
    PLAIN_TABLES,
    TABLES,
    UNKNOWN_WHEN_REGISTERED,
    dense_union,
    extension,
    nowhere,
    registered_types,
    table,
    wkb,
)

HOLED = shapely.Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(1, 1), (2, 1), (2, 2)], [(4, 4), (5, 4), (5, 5), (4, 5)]])
TWO = shapely.MultiPolygon([shapely.box(20.25, 20, 21, 21), HOLED])
POLYGONS = gpd.GeoDataFrame(
    {"name": ["a", "b", "c"]}, geometry=[shapely.box(0, 0, 1, 2), HOLED, shapely.box(5, 5, 6, 6)], crs=2263
)
MULTIS = POLYGONS.assign(geometry=[TWO, shapely.MultiPolygon([HOLED]), TWO])
MIXED = POLYGONS.assign(geometry=[TWO, HOLED, shapely.box(5, 5, 6, 6)])
NATIVE = {"geopandas interleaved", "geopandas separated", "pyarrow", "chunks", "arro3"}


def check(areas, frame, crs="EPSG:2263"):
    assert list(areas.message.wkb.values) == list(
        shapely.to_wkb(list(frame.geometry), output_dimension=2, flavor="iso")
    )
    assert areas.crs == crs
    assert list(areas.shapes) == list(frame.geometry)


@pytest.fixture
def registered():
    with registered_types():
        yield


@pytest.mark.parametrize("frame", [POLYGONS, MULTIS, MIXED], ids=["polygons", "multipolygons", "mixed"])
@pytest.mark.parametrize("form", TABLES)
def test_tables_say_their_crs_and_keep_their_columns(form, frame):
    if frame is MIXED and form in NATIVE:
        frame = MULTIS
    areas = areas_from(TABLES[form](frame))
    check(areas, frame, frame.crs.to_wkt() if form == "wkt" else "EPSG:2263")
    assert areas.columns.to_pydict() == {"name": ["a", "b", "c"]}
    assert areas.column_names == ["name"]


@pytest.mark.parametrize("form", [form for form in TABLES if form not in UNKNOWN_WHEN_REGISTERED])
@pytest.mark.usefixtures("registered")
def test_tables_with_registered_types(form):
    areas = areas_from(TABLES[form](MULTIS))
    check(areas, MULTIS, MULTIS.crs.to_wkt() if form == "wkt" else "EPSG:2263")


@pytest.mark.parametrize("form", PLAIN_TABLES)
def test_plain_tables_are_told_column_and_crs(form):
    given = PLAIN_TABLES[form](MIXED)
    areas = areas_from(given, 2263, "geometry")
    check(areas, MIXED)
    assert areas.columns.to_pydict() == {"name": ["a", "b", "c"]}
    with pytest.raises(errors.CrsRequiredError, match=r"the geometries have no CRS \(pass geometry_crs="):
        areas_from(given, geometry_column="geometry")
    with pytest.raises(errors.BadRequestError, match=r"no column that says it holds geometries .*geometry_column="):
        areas_from(given, 2263)


@pytest.mark.parametrize("frame", [POLYGONS, MULTIS], ids=["polygons", "multipolygons"])
@pytest.mark.parametrize("form", ARRAYS)
def test_geoarrow_arrays_say_their_crs(form, frame):
    check(areas_from(ARRAYS[form](frame)), frame)
    assert areas_from(ARRAYS[form](frame)).columns is None


@pytest.mark.parametrize("form", PLAIN_ARRAYS)
def test_plain_wkb_arrays_are_in_lon_lat(form):
    given = PLAIN_ARRAYS[form](MIXED.geometry)
    areas = areas_from(given)
    assert areas.crs == "OGC:CRS84"
    assert list(areas.shapes) == list(MIXED.geometry)
    assert areas_from(PLAIN_ARRAYS[form](MIXED.geometry), 2263).crs == "EPSG:2263"


def test_wkb_goes_to_the_server_untouched():
    odd = [b"\x01anything", b""]
    assert list(areas_from(pa.array(odd)).message.wkb.values) == odd
    assert list(areas_from(table(*extension("wkb", pa.array(odd), crs="EPSG:2263"))).message.wkb.values) == odd


@pytest.mark.parametrize("form", ["geopandas wkb", "geopandas interleaved", "geopandas separated"])
def test_slices(form):
    rows = pa.table(TABLES[form](MULTIS))[1:]
    check(areas_from(rows), MULTIS[1:])


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize("dims", ["xy", "xyz", "xym", "xyzm"])
def test_further_dimensions_are_left_behind(dims, interleaved):
    ring = [(0, 0), (4, 0), (4, 4), (0, 0)]
    values = {"x": [x for x, _ in ring], "y": [y for _, y in ring], "z": [7] * 4, "m": [8] * 4}
    columns = [pa.array(values[name], pa.float64()) for name in dims]
    if interleaved:
        flat = np.column_stack([values[name] for name in dims]).astype(np.float64).ravel()
        points = pa.FixedSizeListArray.from_arrays(
            pa.array(flat), type=pa.list_(pa.field(dims, pa.float64()), len(dims))
        )
    else:
        points = pa.StructArray.from_arrays(columns, list(dims))
    rings = pa.ListArray.from_arrays(pa.array([0, 4], pa.int32()), points)
    for kind in (pa.ListArray, pa.LargeListArray):
        offsets = pa.array([0, 1], pa.int32() if kind is pa.ListArray else pa.int64())
        field, storage = extension("polygon", kind.from_arrays(offsets, rings), crs="EPSG:2263")
        areas = areas_from(table(field, storage))
        assert list(areas.message.wkb.values) == [shapely.to_wkb(shapely.Polygon(ring), flavor="iso")]


def test_shapes_with_z_keep_it_for_the_result():
    high = shapely.force_3d(HOLED, 5)
    areas = areas_from(gpd.GeoSeries([high], crs=2263))
    assert list(areas.message.wkb.values) == [shapely.to_wkb(HOLED, flavor="iso")]
    assert areas.shapes[0].has_z


def box_array(boxes, names=("xmin", "ymin", "xmax", "ymax")):
    columns = [pa.array([box[index] for box in boxes], pa.float64()) for index in range(4)]
    by_name = dict(zip(("xmin", "ymin", "xmax", "ymax"), columns, strict=True))
    return pa.StructArray.from_arrays([by_name.get(name, columns[0]) for name in names], list(names))


@pytest.mark.parametrize("names", [("xmin", "ymin", "xmax", "ymax"), ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")])
def test_boxes(names):
    boxes = [(0.5, 1, 2, 3), (170, -1, -170, 1)]
    areas = areas_from(table(*extension("box", box_array(boxes, names), crs="OGC:CRS84")))
    assert [(box.minx, box.miny, box.maxx, box.maxy) for box in areas.message.bboxes.values] == boxes
    assert areas.shapes[0] == shapely.box(*boxes[0])
    assert areas.shapes[1].geom_type == "MultiPolygon"


def test_a_union():
    shapes = [TWO, HOLED, shapely.box(5, 5, 6, 6), TWO]
    field, storage = extension("geometry", dense_union(*shapes), crs="EPSG:2263")
    check(areas_from(table(field, storage)), gpd.GeoDataFrame(geometry=shapes))
    check(areas_from(table(field, storage)[1:]), gpd.GeoDataFrame(geometry=shapes[1:]))


def test_a_geometry_column_of_duckdb():
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE t AS SELECT 'POLYGON ((0 0, 1 0, 1 1, 0 0))'::GEOMETRY('OGC:CRS84') AS place, 'a' AS name"
    )
    areas = areas_from(con.sql("FROM t"))
    assert areas.crs == "OGC:CRS84"
    assert areas.shapes[0] == shapely.from_wkt("POLYGON ((0 0, 1 0, 1 1, 0 0))")
    assert areas.columns.to_pydict() == {"name": ["a"]}


def test_projjson_without_a_code_goes_along_whole():
    own = MULTIS.set_crs("+proj=laea +lat_0=1", allow_override=True)
    areas = areas_from(own.to_arrow())
    assert json.loads(areas.crs) == own.crs.to_json_dict()


@pytest.mark.parametrize(
    ("explicit", "fine"), [(2263, True), ("epsg:2263", True), (MULTIS.crs, True), (4326, False), ("nonsense", False)]
)
def test_a_table_is_not_contradicted(explicit, fine):
    if fine:
        assert areas_from(MULTIS.to_arrow(), explicit).crs
        return
    with pytest.raises(
        errors.CrsRequiredError, match=r"geometry_crs is .*, but the geometries say that they are in EPSG:2263 \(leave"
    ):
        areas_from(MULTIS.to_arrow(), explicit)


def test_lon_lat_is_not_contradicted_by_its_other_name():
    lonlat = pa.table(gpd.GeoDataFrame(geometry=[HOLED], crs="OGC:CRS84").to_arrow())
    assert areas_from(lonlat).crs == "OGC:CRS84"
    assert areas_from(lonlat, 4326).crs == "EPSG:4326"


def test_geoparquet_says_which_column_is_primary(tmp_path):
    import pyarrow.parquet as pq

    MULTIS.assign(hull=MULTIS.geometry.envelope).to_parquet(tmp_path / "a.parquet")
    # pyarrow leaves the columns as WKB, and what GeoParquet says in the metadata
    areas = areas_from(pq.read_table(tmp_path / "a.parquet"))
    check(areas, MULTIS)
    assert areas.column_names == ["name", "hull"]
    hull = areas_from(pq.read_table(tmp_path / "a.parquet"), geometry_column="hull")
    assert list(hull.shapes) == list(MULTIS.geometry.envelope)
    MULTIS.to_parquet(tmp_path / "b.parquet", geometry_encoding="geoarrow", schema_version="1.1.0")
    check(areas_from(pq.read_table(tmp_path / "b.parquet")), MULTIS)


WKBS = wkb(MIXED.geometry)
ROWS = pa.chunked_array([WKBS, pa.array([None], pa.binary())])
RING = pa.array([[[[0.0, 0.0], [1.0, 1.0]]]], pa.list_(pa.list_(pa.list_(pa.float64(), 2))))
NULL_RING = pa.array([[[[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]], None]], RING.type)
TOLD = {"crs": "EPSG:2263"}
BAD = {
    "null wkb": (ROWS, "geometry 4 is missing"),
    "null native": (gpd.GeoSeries([HOLED, None], crs=2263).to_arrow(geometry_encoding="geoarrow"), "geometry 2 is missing"),
    "null box": (table(*extension("box", pa.array([None], box_array([(0, 0, 1, 1)]).type), **TOLD)), "geometry 1 is missing"),
    "empty native": (gpd.GeoSeries([HOLED, shapely.Polygon()], crs=2263).to_arrow(geometry_encoding="geoarrow"), "geometry 2 is empty"),
    "nan native": (gpd.GeoSeries([HOLED, nowhere(np.nan)], crs=2263).to_arrow(geometry_encoding="geoarrow"), "geometry 2 has a coordinate that is NaN or infinite"),
    "nan box": (table(*extension("box", box_array([(0, 0, 1, 1), (0, np.nan, 1, 1)]), **TOLD)), r"geometry 2: bbox \(0.0, nan, 1.0, 1.0\) has a coordinate"),
    "inverted box": (table(*extension("box", box_array([(0, 2, 1, 1)]), **TOLD)), "geometry 1: bbox .* is inverted"),
    "points": (gpd.GeoSeries([shapely.Point(1, 2)], crs=2263).to_arrow(geometry_encoding="geoarrow"), r"a column of geoarrow.point, and areas are Polygons or MultiPolygons \(values at points are what sample_points is for\)"),
    "lines": (gpd.GeoSeries([shapely.LineString([(1, 2), (3, 4)])], crs=2263).to_arrow(geometry_encoding="geoarrow"), "geoarrow.linestring, and areas .*sample_points"),
    "a point in a union": (table(*extension("geometry", dense_union(HOLED, shapely.Point(1, 2)), **TOLD)), "geometry 2 is a Point, and areas .*sample_points"),
    "collections": (table(*extension("geometrycollection", pa.array([[1]]), **TOLD)), r"geoarrow.geometrycollection is not read here \(write the column as geoarrow.wkb"),
    "bad wkt": (table(*extension("wkt", pa.array([HOLED.wkt, "POLYGON (("]), **TOLD)), "geometry 2 is no valid WKT: "),
    "short ring": (table(*extension("polygon", pa.concat_arrays([NULL_RING[:0], RING]), **TOLD)), "geometry 1 cannot be read as geoarrow.polygon: "),
    "null ring": (table(*extension("polygon", NULL_RING, **TOLD)), "geometry 1 cannot be read as geoarrow.polygon: 1 nulls"),
    "other storage": (table(*extension("polygon", pa.array([[1.5]]), **TOLD)), "geometry 1 cannot be read as geoarrow.polygon: "),
    "other box": (table(*extension("box", pa.array([[1.5]]), **TOLD)), "the geoarrow.box column cannot be read: list"),
    "no union": (table(*extension("geometry", pa.array([[1.5]]), **TOLD)), "geometry 1 cannot be read as geoarrow.geometry: .* expected a dense union"),
    "spherical": (table(*extension("wkb", WKBS, edges="spherical", **TOLD)), r"the edges of the geometries are spherical, and areas have straight edges \(put vertices"),
    "no rows": (pa.table(MULTIS[:0].to_arrow()), "geometries is empty"),
    "no rows in an array": (WKBS[:0], "geometries is empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_area_is_named(case):
    with pytest.raises(errors.BadGeometryError, match=BAD[case][1]) as caught:
        areas_from(BAD[case][0])
    assert (caught.value.code, caught.value.field) == ("BAD_GEOMETRY", "geometries")


def test_which_ring_of_many_is_short():
    good = shapely.box(0, 0, 1, 1).exterior.coords[:]
    rows = [[good]] * 300 + [[good[:2]]] + [[good]] * 50
    storage = pa.array(rows, pa.list_(pa.list_(pa.list_(pa.float64(), 2))))
    with pytest.raises(errors.BadGeometryError, match="geometry 301 cannot be read"):
        areas_from(table(*extension("polygon", storage, **TOLD)))


@pytest.mark.parametrize(
    "metadata", ['{"crs": 7.5}', '{"crs": true, "crs_type": "srid"}', "{", "[1]", '{"crs": ["EPSG:2263"]}']
)
def test_a_crs_that_cannot_be_read(metadata):
    field = pa.field(
        "area", pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb", "ARROW:extension:metadata": metadata}
    )
    with pytest.raises(
        errors.CrsRequiredError, match=r"what the column 'area' says about its CRS cannot be read \(take"
    ):
        areas_from(pa.Table.from_arrays([WKBS], schema=pa.schema([field])))


@pytest.mark.parametrize("metadata", [None, "", "{}", '{"crs": null}'])
def test_geoarrow_without_a_crs(metadata):
    told = {"ARROW:extension:name": "geoarrow.wkb"} | (
        {} if metadata is None else {"ARROW:extension:metadata": metadata}
    )
    given = pa.Table.from_arrays([WKBS], schema=pa.schema([pa.field("area", pa.binary(), metadata=told)]))
    with pytest.raises(
        errors.CrsRequiredError, match=r'the geometries have no CRS \(pass geometry_crs=, for example "OGC'
    ):
        areas_from(given)
    check(areas_from(given, 2263), MIXED)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("nam", r"the table has no column 'nam' \(the columns are: name, geometry\)"),
        ("geom", r"the table has no column 'geom' \(the columns are: geometry, name\)"),
        ("name", r"the column 'name' is .*string, and says nothing about geometries \(expected WKB"),
    ],
)
def test_columns_that_are_not_there(column, words):
    with pytest.raises(errors.BadRequestError, match=words) as caught:
        areas_from(pa.table(MULTIS.to_arrow()), geometry_column=column)
    assert (caught.value.code, caught.value.field) == ("BAD_REQUEST", "geometry_column")


def test_many_columns_are_not_all_listed():
    with pytest.raises(errors.BadRequestError, match=r"c0, c1, c2, c3, c4, c5, c6, c7 and 12 more\)"):
        areas_from(pa.table({f"c{n}": [1] for n in range(20)}))


def test_several_geometry_columns():
    two = pa.table(MULTIS.assign(hull=MULTIS.geometry.envelope).to_arrow()).replace_schema_metadata(None)
    with pytest.raises(errors.BadRequestError, match=r"several geometry columns: geometry, hull \(say which"):
        areas_from(two)
    areas = areas_from(two, geometry_column="hull")
    assert list(areas.shapes) == list(MULTIS.geometry.envelope)
    assert areas.column_names == ["name", "geometry"]


def test_geometry_column_is_for_tables():
    with pytest.raises(TypeError, match="names a column of a GeoDataFrame or table, and geometries= is an array"):
        areas_from(WKBS, geometry_column="geometry")


def test_a_frame_of_pandas_with_shapes_is_told_the_way_out():
    with pytest.raises(errors.BadRequestError, match="does not become an Arrow table"):
        areas_from(pd.DataFrame({"geometry": list(MULTIS.geometry)}), geometry_column="geometry")
    assert list(areas_from(pd.Series(list(MULTIS.geometry))).shapes) == list(MULTIS.geometry)


RINGS = st.integers(0, 6).flatmap(
    lambda holes: st.tuples(st.floats(-170, 170), st.floats(-80, 80), st.floats(0.001, 5), st.just(holes))
)


def holed(x, y, size, holes):
    """A square with a row of triangles cut out."""
    step = size / (2 * holes + 1)
    inner = [
        [
            (x + (2 * n + 1) * step, y + size / 3),
            (x + (2 * n + 2) * step, y + size / 3),
            (x + (2 * n + 1.5) * step, y + size / 2),
        ]
        for n in range(holes)
    ]
    return shapely.Polygon(shapely.box(x, y, x + size, y + size).exterior, inner)


SHAPES = st.lists(st.lists(RINGS, min_size=1, max_size=4), min_size=1, max_size=6)


@given(SHAPES)
@settings(max_examples=15, deadline=None)
def test_all_encodings_give_the_same_wkb(rows):
    shapes = [shapely.MultiPolygon([holed(*ring) for ring in row]) for row in rows]
    frame = gpd.GeoDataFrame({"name": [str(n) for n in range(len(rows))]}, geometry=shapes, crs=2263)
    truth = list(shapely.to_wkb(shapes, flavor="iso"))
    for form, make in TABLES.items():
        found = list(areas_from(make(frame)).message.wkb.values)
        if form == "wkt":  # whose numbers are rounded
            assert shapely.equals_exact(shapely.from_wkb(found), shapes, tolerance=1e-9).all()
        else:
            assert found == truth
    for make in ARRAYS.values():
        assert list(areas_from(make(frame)).message.wkb.values) == truth
    field, storage = extension("geometry", dense_union(*shapes), crs="EPSG:2263")
    assert list(areas_from(table(field, storage)).message.wkb.values) == truth
    assert list(areas_from(shapes).message.wkb.values) == truth
    assert list(areas_from(shapely.geometry.mapping(shapes[0])).message.wkb.values) == truth[:1]


@given(SHAPES)
@settings(max_examples=15, deadline=None)
def test_polygons_in_all_encodings(rows):
    shapes = [holed(*ring) for row in rows for ring in row]
    frame = gpd.GeoDataFrame({"name": [str(n) for n in range(len(shapes))]}, geometry=shapes, crs=2263)
    truth = list(shapely.to_wkb(shapes, flavor="iso"))
    for interleaved in (True, False):
        given = frame.to_arrow(geometry_encoding="geoarrow", interleaved=interleaved)
        assert list(areas_from(given).message.wkb.values) == truth
