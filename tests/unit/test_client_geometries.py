import geopandas as gpd
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import shapely

from rasterflight import errors
from rasterflight._crs import crs_text
from rasterflight._geometries import areas_from
from support.geoarrow import nowhere

BOX = (0.0, 1.0, 2.0, 3.0)
SQUARE = shapely.box(*BOX)
GEOJSON = shapely.geometry.mapping(SQUARE)
WKB = shapely.to_wkb(SQUARE, flavor="iso")
TWO = shapely.MultiPolygon([SQUARE, shapely.box(5, 5, 6, 6)])
FEATURE = {"type": "Feature", "properties": {"a": 1}, "geometry": GEOJSON}
FRAME = gpd.GeoDataFrame({"name": ["a", "b"], "ha": [1.5, 2.5]}, geometry=[SQUARE, TWO], crs=2263)


def boxes(areas):
    return [(box.minx, box.miny, box.maxx, box.maxy) for box in areas.message.bboxes.values]


def wkbs(areas):
    return list(areas.message.wkb.values)


@pytest.mark.parametrize("given", [BOX, list(BOX), np.array(BOX), [BOX], (0, 1, 2, 3)])
def test_one_bbox(given):
    assert boxes(areas_from(given)) == [BOX]


def test_a_bbox_across_the_antimeridian_has_two_sides():
    areas = areas_from([(170, -10, -175, 10), BOX])
    assert boxes(areas) == [(170, -10, -175, 10), BOX]
    sides = shapely.MultiPolygon([shapely.box(170, -10, 180, 10), shapely.box(-180, -10, -175, 10)])
    assert list(areas.shapes) == [sides, SQUARE]
    mixed = areas_from([SQUARE, (170, -10, -175, 10)])
    assert list(shapely.from_wkb(wkbs(mixed))) == [SQUARE, sides] == list(mixed.shapes)
    assert list(areas_from((170, 0, -180, 1)).shapes) == [shapely.MultiPolygon([shapely.box(170, 0, 180, 1)])]


def test_several_bboxes():
    assert boxes(areas_from([BOX, [4, 5, 6, 7], BOX, BOX])) == [BOX, (4, 5, 6, 7), BOX, BOX]


@pytest.mark.parametrize(
    "given",
    [
        SQUARE,
        [SQUARE],
        np.array([SQUARE], object),
        WKB,
        [WKB],
        GEOJSON,
        [GEOJSON],
        FEATURE,
        {"type": "FeatureCollection", "features": [FEATURE]},
        shapely.box(*BOX).__class__([(x, y, 9) for x, y in SQUARE.exterior.coords]),
    ],
)
def test_one_polygon_is_2d_iso_wkb_in_lon_lat(given):
    areas = areas_from(given)
    assert areas.crs == "OGC:CRS84"
    assert len(wkbs(areas)) == 1
    assert not shapely.from_wkb(wkbs(areas)[0]).has_z
    assert shapely.from_wkb(wkbs(areas)[0]).equals(SQUARE)
    assert areas.shapes[0].equals(SQUARE)


def test_kinds_may_be_mixed_and_keep_their_order():
    areas = areas_from([BOX, TWO, WKB, {"type": "FeatureCollection", "features": [FEATURE, FEATURE]}])
    assert [shapely.from_wkb(wkb).equals(TWO) for wkb in wkbs(areas)] == [False, True, False, False, False]
    assert areas.shapes[1] is TWO


def test_wkb_goes_to_the_server_untouched():
    odd = b"\x01anything"
    assert wkbs(areas_from([odd])) == [odd]


def test_a_frame_says_its_crs_and_keeps_its_columns():
    areas = areas_from(FRAME)
    assert areas.crs == "EPSG:2263"
    assert areas.columns.to_dict("list") == {"name": ["a", "b"], "ha": [1.5, 2.5]}
    assert list(areas.shapes) == [SQUARE, TWO]
    assert areas_from(FRAME.geometry).columns is None
    assert areas_from(FRAME.geometry).crs == "EPSG:2263"


def test_another_geometry_column():
    frame = FRAME.assign(hull=FRAME.geometry.envelope)
    assert list(areas_from(frame, geometry_column="hull").shapes) == list(frame.hull)
    with pytest.raises(ValueError, match=r"no column 'hul' \(the columns are: hull, name, ha, geometry\)"):
        areas_from(frame, geometry_column="hul")
    with pytest.raises(ValueError, match="the column 'ha' holds no geometries"):
        areas_from(frame, geometry_column="ha")


@pytest.mark.parametrize("given", [BOX, FRAME.geometry])
def test_geometry_column_is_for_frames(given):
    with pytest.raises(TypeError, match="names a column of a GeoDataFrame"):
        areas_from(given, geometry_column="geometry")


def test_a_frame_without_crs_says_how_to_pass_it():
    bare = FRAME.set_crs(None, allow_override=True)
    with pytest.raises(errors.CrsRequiredError, match=r"have no CRS.*geometry_crs="):
        areas_from(bare)
    assert areas_from(bare, 2263).crs == "EPSG:2263"


def test_a_frame_is_not_contradicted():
    assert areas_from(FRAME, "EPSG:2263").crs == "EPSG:2263"
    with pytest.raises(errors.CrsRequiredError, match=r"geometry_crs is EPSG:4326, but .* in EPSG:2263"):
        areas_from(FRAME, 4326)


def test_an_old_geojson_says_its_crs():
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2263"}}
    collection = {"type": "FeatureCollection", "features": [FEATURE], "crs": named}
    assert areas_from(collection).crs == "urn:ogc:def:crs:EPSG::2263"
    assert areas_from(collection, 4326).crs == "EPSG:4326"
    with pytest.raises(errors.CrsRequiredError, match=r"crs member .* cannot be read"):
        areas_from({**collection, "crs": {"type": "link"}})


def test_crs_as_text():
    assert crs_text(32618) == "EPSG:32618"
    assert crs_text(np.int64(32618)) == "EPSG:32618"
    assert crs_text("EPSG:32618") == "EPSG:32618"
    assert crs_text(FRAME.crs).startswith("PROJCRS[")
    for odd in (True, 1.5, "", object()):
        with pytest.raises(TypeError, match="is no CRS"):
            crs_text(odd)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((2, 1, 0, 3), r"geometry 1: bbox \(2.0, 1.0, 0.0, 3.0\) is inverted"),
        ((0, 3, 2, 1), "is inverted"),
        ((-70, 40, -74, 41), "is inverted"),
        ((190, 0, -170, 1), "is inverted"),
        ([BOX, (170, 3, -170, 1)], "geometry 2: bbox .* is inverted"),
        (shapely.Polygon(), "geometry 1 is empty"),
        ([SQUARE, nowhere(np.nan)], "geometry 2 has a coordinate that is NaN"),
        (
            [SQUARE, BOX, nowhere(np.inf)],
            "geometry 3 has a coordinate that is NaN",
        ),
        ([BOX, None], "geometry 2 is missing"),
        ([BOX, (0, float("nan"), 2, 3)], r"geometry 2: bbox \(0.0, nan, 2.0, 3.0\) has a coordinate that is no number"),
        ((0, 1, float("inf"), 3), "no number"),
        ([SQUARE, (2, 1, 0, 3)], "geometry 2: bbox .* is inverted"),
        (shapely.Point(1, 2), "geometry 1 is a Point, .*sample_points"),
        ([SQUARE, shapely.LineString([(0, 0), (1, 1)])], "geometry 2 is a LineString, .*sample_points"),
        (shapely.GeometryCollection([SQUARE]), "GeometryCollection"),
        ({"type": "Point", "coordinates": [1, 2]}, "geometry 1 is a Point"),
        ({"type": "Polygon"}, "a GeoJSON Polygon cannot be read"),
        ({"type": "Square", "coordinates": []}, "a GeoJSON Square cannot be read"),
        ({"coordinates": []}, "has no type"),
        ({"type": "Feature", "geometry": None}, "a Feature has no geometry"),
        ([], "geometries is empty"),
        ({"type": "FeatureCollection", "features": []}, "geometries is empty"),
        (FRAME.iloc[:0], "geometries is empty"),
        ([SQUARE, None], "geometry 2 is missing"),
        (gpd.GeoSeries([None, SQUARE], crs=4326), "geometry 1 is missing"),
    ],
)
def test_what_is_no_area_is_named(given, words):
    with pytest.raises(errors.BadGeometryError, match=words):
        areas_from(given)


@pytest.mark.parametrize(
    "given",
    [
        "POLYGON ((0 0, 1 0, 1 1, 0 0))",
        7,
        pa.array(["POLYGON ((0 0, 1 0, 1 1, 0 0))"]),
        pl.Series([1.5]),
        [7],
        [(1, 2)],
    ],
)
def test_what_is_no_input_gets_the_list_of_those_that_are(given):
    with pytest.raises(TypeError, match=r"expected a bbox tuple .* Shapely .* WKB .* GeoJSON .* GeoDataFrame"):
        areas_from(given)
