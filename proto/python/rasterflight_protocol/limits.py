"""How much is answered at once; a client cuts what is larger, the server refuses it."""

from typing import Final

#: Points of a set.
MAX_POINTS: Final = 1 << 20
#: Pixels of one record that a set of points may look at: in each band, and in all of them.
MAX_BAND_PIXELS: Final = 1 << 21
MAX_PIXELS: Final = 1 << 23


def window_pixels(max_distance_pixels: int) -> int:
    """Pixels that one point looks at."""
    return (2 * max_distance_pixels + 1) ** 2


def points_at_once(max_distance_pixels: int, bands: int) -> int:
    """How many points a set may have; at least one, even where that is too many pixels."""
    pixels = window_pixels(max_distance_pixels)
    return max(1, min(MAX_POINTS, MAX_BAND_PIXELS // pixels, MAX_PIXELS // (pixels * max(bands, 1))))
