"""Lookups of points by box against looking at each point."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from rasterflight_protocol.limits import MAX_BAND_PIXELS, MAX_PIXELS, MAX_POINTS, points_at_once, window_pixels
from rasterflight_server.plan.pointindex import PointIndex

COORDINATES = st.floats(-180, 180) | st.sampled_from([-180.0, 0.0, 1.5, 180.0])
POINTS = st.integers(1, 30).flatmap(lambda n: hnp.arrays(np.float64, (n, 2), elements=COORDINATES))
BOXES = hnp.arrays(np.float64, (7, 4), elements=COORDINATES).map(
    lambda boxes: np.sort(boxes.reshape(7, 2, 2), axis=1).reshape(7, 4)
)


@given(POINTS, BOXES)
def test_boxes(points: np.ndarray, boxes: np.ndarray) -> None:
    index = PointIndex(points[:, 0].copy(), points[:, 1].copy())
    assert index.bounds == (*points.min(axis=0), *points.max(axis=0))
    near = index.near(boxes)
    for box, close in zip(boxes, near, strict=True):
        truth = np.flatnonzero(((points >= box[:2]) & (points <= box[2:])).all(axis=1))
        assert index.inside(*box).tolist() == truth.tolist()
        assert close or not len(truth)


def test_far_boxes_are_not_near() -> None:
    corners = np.array([0.0, 100.0, 0.0, 100.0]), np.array([0.0, 0.0, 100.0, 100.0])
    index = PointIndex(*corners)
    assert index.near(
        np.array([[40.0, 40.0, 60.0, 60.0], [-9.0, -9.0, -1.0, -1.0], [99.0, 99.0, 101.0, 101.0]])
    ).tolist() == [
        False,
        False,
        True,
    ]


@given(st.integers(0, 2000), st.integers(1, 50))
def test_a_set_is_as_large_as_it_may_be(distance: int, bands: int) -> None:
    def allowed(count: int) -> bool:
        pixels = count * window_pixels(distance)
        return count <= MAX_POINTS and pixels <= MAX_BAND_PIXELS and pixels * bands <= MAX_PIXELS

    count = points_at_once(distance, bands)
    assert allowed(count) or count == 1
    assert not allowed(count + 1)
