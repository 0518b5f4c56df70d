import numpy as np
import pytest
import rasterio.features
import shapely

from rasterflight_server.plan.bounds import vertex_bounds

SQUARE = shapely.box(0, 0, 2, 2)
ASTRAY = shapely.Polygon(SQUARE.exterior, [[(5, -5), (6, 5), (6, 6)]])
SHAPES = [
    SQUARE,
    ASTRAY,
    shapely.MultiPolygon([ASTRAY]),
    shapely.MultiPolygon([SQUARE, shapely.box(8, 8, 9, 9)]),
    shapely.MultiPolygon([shapely.box(8, 8, 9, 9), ASTRAY, SQUARE]),
    shapely.box(-3, -3, 9, 9) - SQUARE,
]


@pytest.mark.parametrize("shape", SHAPES)
def test_one_is_as_rasterio_has_it(shape):
    [found] = vertex_bounds(np.array([shape], object))
    assert tuple(found) == rasterio.features.bounds(shapely.geometry.mapping(shape))


def test_many_are_as_one_by_one():
    found = vertex_bounds(np.array(SHAPES, object))
    assert found.tolist() == [vertex_bounds(np.array([shape], object))[0].tolist() for shape in SHAPES]


def test_what_has_no_vertices_has_no_bounds():
    assert np.isnan(vertex_bounds(np.array([None, shapely.Polygon()], object))).all()
    assert vertex_bounds(np.empty(0, object)).shape == (0, 4)
