"""Boxes and polygons at the antimeridian, and filters that cross it."""

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from rasterflight_protocol import ErrorCode, records_schema
from rasterflight_protocol.v1.read_pb2 import BBox, BBoxes, Filter, Geometries, WkbList
from rasterflight_server.catalog.filters import Near, narrowings
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.areas import Areas
from rasterflight_server.plan.crs import transform_geometries
from rasterflight_server.types.lonlat import crosses, lonlat_boxes

LONLAT = "OGC:CRS84"


def areas(*shapes, crs=LONLAT):
    return Areas(Geometries(crs=crs, wkb=WkbList(values=[shapely.to_wkb(shape) for shape in shapes])), "geometries")


def boxes(*bounds, crs=LONLAT):
    values = [BBox(minx=minx, miny=miny, maxx=maxx, maxy=maxy) for minx, miny, maxx, maxy in bounds]
    return Areas(Geometries(crs=crs, bboxes=BBoxes(values=values)), "geometries")


@pytest.mark.parametrize(
    ("box", "parts"),
    [
        ((1, 2, 3, 4), [(1, 3)]),
        ((-180, 2, 180, 4), [(-180, 180)]),
        ((170, 2, -170.1, 4), [(170, 180), (-180, -170.1)]),
        ((170, 2, -180, 4), [(170, 180)]),
        ((180, 2, -170, 4), [(-180, -170)]),
        ((180, 2, -180, 4), [(180, 180)]),
        ((170.1, 2, 190, 4), [(170.1, 180), (-180, -170)]),
        ((-190, 2, -170.1, 4), [(170, 180), (-180, -170.1)]),
        ((190, 2, 200, 4), [(-170, -160)]),
        ((180, 2, 190, 4), [(-180, -170)]),
        ((-200, 2, -190, 4), [(160, 170)]),
        ((0, 2, 360, 4), [(-180, 180)]),
        ((-200, 2, 200, 4), [(-180, 180)]),
        ((200, 2, 200, 4), [(-160, -160)]),
        ((-200, 2, -200, 4), [(160, 160)]),
        ((500000, 2, 600000, 4), [(500000, 600000)]),
        ((-500, 2, 10, 4), [(-500, 10)]),
    ],
)
def test_boxes_are_cut(box, parts):
    assert lonlat_boxes(box) == [(west, 2, east, 4) for west, east in parts]


@given(st.floats(-360, 360), st.floats(0, 360))
def test_cut_boxes_hold_the_same_places(west, width):
    east = west + width
    assume(east <= 360)
    cut = lonlat_boxes((west, 0, east, 1))
    assert all(-180 <= minx <= maxx <= 180 for minx, _, maxx, _ in cut)
    assert sum(maxx - minx for minx, _, maxx, _ in cut) == pytest.approx(width, abs=1e-9)
    for share in (0.01, 0.3, 0.5, 0.9):
        place = (west + share * width + 180) % 360 - 180
        assert any(minx - 1e-9 <= place <= maxx + 1e-9 for minx, _, maxx, _ in cut) or abs(place) > 180 - 1e-9


def test_only_from_east_to_west_is_across():
    assert crosses((170, 0, -170, 1))
    for box in ((-70, 40, -74, 41), (20, 0, 10, 1), (170, 0, 190, 1), (190, 0, -170, 1), (10, 0, 0, 1)):
        assert not crosses(box)


def test_a_box_across_is_an_area_of_two_sides():
    found = boxes((179, -1, -178.5, 1), (1, 2, 3, 4))
    sides = shapely.MultiPolygon([shapely.box(179, -1, 180, 1), shapely.box(-180, -1, -178.5, 1)])
    assert list(found.geometries) == [sides, shapely.box(1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("box", "crs"), [((-70, 40, -74, 41), LONLAT), ((170, 0, -170, 1), "EPSG:32601"), ((170, 0, -170, 1), "EPSG:4807")]
)
def test_other_inverted_boxes_are_refused(box, crs):
    with pytest.raises(RequestError, match=r"is inverted: minx .* is greater than maxx") as caught:
        boxes(box, crs=crs)
    assert caught.value.code is ErrorCode.BAD_GEOMETRY
    assert caught.value.field == "geometries.bboxes[0]"


@pytest.mark.parametrize("crs", [LONLAT, "EPSG:4326", "EPSG:4269", "EPSG:4979"])
def test_polygons_beyond_180_are_cut_and_come_back_in(crs):
    holed = shapely.box(170, 0, 190, 10) - shapely.box(178, 2, 182, 4)
    east, west = (shapely.intersection(holed, shapely.box(*side)) for side in ((170, 0, 180, 10), (180, 0, 190, 10)))
    whole = shapely.MultiPolygon([east, shapely.affinity.translate(west, -360)])
    again = shapely.affinity.translate(holed, -360)
    far = shapely.affinity.translate(shapely.box(190, 0, 200, 1), 0.5)
    inside = shapely.box(1, 2, 3, 4)
    found = areas(holed, again, far, inside, crs=crs).geometries
    assert found[0].equals(whole)
    assert found[1].equals(whole)
    assert found[0].geom_type == found[1].geom_type == "MultiPolygon"
    assert found[2].equals(shapely.box(-169.5, 0, -159.5, 1))
    assert found[3].equals(inside)


def test_what_is_wider_than_a_turn_covers_everything_once():
    [found] = areas(shapely.box(-200, 0, 200, 1)).geometries
    assert found.area == pytest.approx(360)
    assert found.bounds == (-180, 0, 180, 1)


def test_noise_at_180_and_nonsense_stay():
    noisy, nonsense = shapely.box(170, 0, 180 + 1e-12, 1), shapely.box(500000, 0, 600000, 1)
    assert list(areas(noisy, nonsense).geometries) == [noisy, nonsense]


def test_an_invalid_polygon_is_not_cut_but_may_lie_beyond():
    bow = shapely.Polygon([(170, 0), (190, 10), (190, 0), (170, 10)])
    with pytest.raises(
        RequestError, match=r"geometry 2 goes on beyond 180 degrees .* not valid: Self-intersection"
    ) as caught:
        areas(shapely.box(0, 0, 1, 1), bow)
    assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_GEOMETRY, "geometries")
    assert "make_valid" in caught.value.hint
    [found] = areas(shapely.affinity.translate(bow, 20)).geometries
    assert found.equals_exact(shapely.affinity.translate(bow, -340))


def places(*bounds):
    return np.array([shapely.box(*one) for one in bounds], object)


FOOTPRINTS = [(179.5, 60, 179.9, 60.5), (-179.9, 60, -179.5, 60.5), (0, 60, 1, 60.5), (-178, 60, -177.5, 60.5)]


@pytest.mark.parametrize("crs", ["EPSG:32660", "EPSG:32601", "EPSG:3832", "EPSG:3413"])
def test_areas_that_cross_in_another_crs_meet_records_on_both_sides(crs):
    lonlat = np.array([shapely.box(179.2, 59.8, 180.8, 60.2)], object)
    [area] = transform_geometries(lonlat, LONLAT, crs)
    footprint, _ = areas(area, crs=crs).match(places(*FOOTPRINTS))
    assert footprint.tolist() == [0, 1]


def test_areas_around_a_pole_meet_all_longitudes():
    footprint, _ = areas(shapely.box(-3e6, -3e6, 3e6, 3e6), crs="EPSG:3413").match(
        places(*((lon, 80, lon + 1, 81) for lon in (-180, -100, 0, 100, 179)), (0, 10, 1, 11))
    )
    assert footprint.tolist() == [0, 1, 2, 3, 4]
    footprint, _ = areas(shapely.box(-3e6, -3e6, 3e6, 3e6), crs="EPSG:3031").match(
        places((0, -89, 1, -88), (0, 10, 1, 11))
    )
    assert footprint.tolist() == [0]


def test_wide_areas_that_do_not_cross_stay():
    world = shapely.box(-20037508, -1e7, 20037508, 1e7)
    footprint, _ = areas(world, crs="EPSG:3857").match(places(*FOOTPRINTS, (-179.9, 10, 0, 11)))
    assert footprint.tolist() == [0, 1, 2, 3, 4]
    footprint, _ = areas(shapely.box(-120, 50, 120, 70)).match(places(*FOOTPRINTS))
    assert footprint.tolist() == [2]


def test_filters_across_are_two_boxes():
    found = narrowings([Filter(bbox=BBox(minx=170, miny=-1, maxx=-170, maxy=1))], records_schema([]))
    assert found == [Near(((170, -1, 180, 1), (-180, -1, -170, 1)))]
