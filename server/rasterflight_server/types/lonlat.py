"""Boxes in degrees: those across the antimeridian, or beyond it, cut into boxes between -180 and 180."""

from typing import Final

HALF_TURN: Final = 180.0
TURN: Final = 360.0

#: (minx, miny, maxx, maxy)
Box = tuple[float, float, float, float]


def crosses(box: Box) -> bool:
    """Whether this is a box across the antimeridian: from an eastern longitude to a western one.

    With both on one side of Greenwich, minx > maxx is rather a box whose bounds were swapped than one around the earth.
    """
    minx, _, maxx, _ = box
    return -HALF_TURN <= maxx < 0 < minx <= HALF_TURN


def lonlat_boxes(box: Box) -> list[Box]:
    """Cut a box where it leaves the range of longitudes.

    Parameters
    ----------
    box
        One across the antimeridian has minx > maxx (see `crosses`); a box may also go on beyond 180 or -180, by one turn at most.

    Returns
    -------
    list of tuple
        One or two boxes with minx <= maxx; a box that is nowhere near the range comes back as it is.
    """
    minx, miny, maxx, maxy = box
    # every bound is moved once at most: it may lie on the edge of a pixel, where the last bit decides
    if crosses(box):
        parts = [(minx, HALF_TURN), (-HALF_TURN, maxx)]
    elif (minx >= -HALF_TURN and maxx <= HALF_TURN) or minx < -TURN or maxx > TURN:
        return [box]
    elif maxx - minx >= TURN:
        parts = [(-HALF_TURN, HALF_TURN)]
    elif maxx > HALF_TURN:
        parts = [(minx, HALF_TURN), (max(minx - TURN, -HALF_TURN), maxx - TURN)]
    else:
        parts = [(minx + TURN, min(maxx + TURN, HALF_TURN)), (-HALF_TURN, maxx)]
    wide = [(west, miny, east, maxy) for west, east in parts if west < east]
    return wide or [(west, miny, east, maxy) for west, east in parts if west == east][:1]
