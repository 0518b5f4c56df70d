"""What is read: the same work in terms that every reader understands.

Numbers are those of scenes of the full size; for smaller scenes they shrink with them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scenes import PIXEL, read_items

Item = dict[str, Any]
_SIDE, _BIG = 4096, 10980


@dataclass(frozen=True)
class Windows:
    """Pixels as they are stored: ``(col_off, row_off, width, height)``. The result is [record, window, band, y, x]."""

    windows: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Grid:
    """Records on one grid, by the nearest pixel. The result is [record, y, x]."""

    epsg: int
    x: float
    y: float
    side: int


@dataclass(frozen=True, eq=False)
class Points:
    """Single pixels at ``xy`` [n, 2]. The result is [record, point]."""

    xy: np.ndarray


@dataclass(frozen=True, eq=False)
class Polygons:
    """Pixels inside of polygons, 0 around them. The result is a list of [y, x], by record, polygon, band."""

    rings: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Work:
    """One scenario on one set of scenes."""

    scenario: str
    #: By time, then id; hrefs are complete.
    items: tuple[Item, ...]
    bands: tuple[str, ...]
    area: Windows | Grid | Points | Polygons
    #: What all hrefs start with: a folder or a URL, with a slash at its end.
    root: str

    @property
    def ids(self) -> list[str]:
        return [item["id"] for item in self.items]

    @property
    def hrefs(self) -> list[str]:
        """All files, by record, then band."""
        return [item["assets"][band]["href"] for item in self.items for band in self.bands]

    @property
    def remote(self) -> bool:
        return self.root.startswith("http")

    @property
    def threads(self) -> int:
        """Threads for readers that wait in threads."""
        return 48 if self.remote else 4

    @cached_property
    def epsg(self) -> int:
        """CRS of the coordinates of the work."""
        return epsg_of(self.items[0])

    @property
    def origin(self) -> tuple[float, float]:
        return origin_of(self.items[0])


def epsg_of(item: Item) -> int:
    return int(item["properties"]["proj:epsg"])


def origin_of(item: Item) -> tuple[float, float]:
    """The upper left corner, (x, y)."""
    _, _, x, _, _, y = _asset(item)["proj:transform"]
    return x, y


def side_of(item: Item) -> int:
    return int(_asset(item)["proj:shape"][0])


def _asset(item: Item) -> dict[str, Any]:
    return next(iter(item["assets"].values()))


class _Scenes:
    def __init__(self, folder: Path, root: str) -> None:
        self.root = root
        self._items = list(read_items(folder, root))

    def first(self, site: str, count: int) -> list[Item]:
        items = [item for item in self._items if item["collection"] == site]
        return _ordered(items)[:count]

    @property
    def side(self) -> int:
        return side_of(self.first("a", 1)[0])

    def scaled(self, pixels: int) -> int:
        return pixels * self.side // _SIDE

    @property
    def density(self) -> float:
        return (self.side / _SIDE) ** 2

    def work(self, scenario: str, items: Sequence[Item], area: Any, bands: Sequence[str] = ("B04",)) -> Work:
        return Work(scenario, tuple(_ordered(items)), tuple(bands), area, self.root)


def _ordered(items: Sequence[Item]) -> list[Item]:
    return sorted(items, key=lambda item: (item["properties"]["datetime"], item["id"]))


def _windows(scenes: _Scenes, *corners: tuple[int, int]) -> Windows:
    side = scenes.scaled(256)
    return Windows(tuple((scenes.scaled(col), scenes.scaled(row), side, side) for col, row in corners))


def _a(scenes: _Scenes) -> Work:
    return scenes.work("a", scenes.first("a", 15), _windows(scenes, (1500, 1500)))


def _b(scenes: _Scenes) -> Work:
    # they lie in 1, 1, 2 and 4 tiles
    areas = _windows(scenes, (300, 200), (2300, 1500), (2950, 2500), (1950, 1950))
    return scenes.work("b", scenes.first("a", 30), areas)


def _c(scenes: _Scenes) -> Work:
    items = scenes.first("a", 6) + scenes.first("b", 6)
    x, y = origin_of(items[0])
    col, row, side, _ = _windows(scenes, (2130, 1920)).windows[0]
    grid = Grid(epsg_of(items[0]), x + col * PIXEL, y - row * PIXEL, side)
    return scenes.work("c", items, grid)


def _d(scenes: _Scenes) -> Work:
    [item] = scenes.first("big", 1)
    col, row, side = (pixels * side_of(item) // _BIG for pixels in (3172, 2148, 4096))
    return scenes.work("d", [item], Windows(((col, row, side, side),)), ("B02", "B03", "B04", "B08"))


def _points(scenario: str, count: int) -> Callable[[_Scenes], Work]:
    def work(scenes: _Scenes) -> Work:
        items = scenes.first("a", 10)
        inside = np.random.default_rng(7).uniform(0, scenes.side * PIXEL, (int(count * scenes.density), 2))
        return scenes.work(scenario, items, Points(inside * (1, -1) + origin_of(items[0])))

    return work


def _f(scenes: _Scenes) -> Work:
    items = scenes.first("a", 5)
    rng = np.random.default_rng(8)
    span = scenes.side * PIXEL
    rings = []
    for _ in range(max(1, int(200 * scenes.density))):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
        spokes = rng.uniform(80, 250, (12, 1)) * np.column_stack([np.cos(angles), np.sin(angles)])
        rings.append(spokes + rng.uniform(400, span - 400, 2) * (1, -1) + origin_of(items[0]))
    return scenes.work("f", items, Polygons(tuple(rings)), ("B04", "B08"))


_SCENARIOS: dict[str, tuple[str, Callable[[_Scenes], Work]]] = {
    "a": ("one area of 256 x 256, 15 records", _a),
    "b": ("4 areas of 256 x 256, 30 records", _b),
    "c": ("12 records of two UTM zones on one grid of 256 x 256", _c),
    "d": ("4 bands of 4096 x 4096, one record", _d),
    "e1": ("1,000 points, 10 records", _points("e1", 1_000)),
    "e10": ("10,000 points, 10 records", _points("e10", 10_000)),
    "f": ("200 small polygons, 5 records, 2 bands", _f),
}

#: Name of each scenario, and what it is.
SCENARIOS = {name: text for name, (text, _) in _SCENARIOS.items()}


def make_work(scenario: str, folder: Path, root: str) -> Work:
    """The work of a scenario on the scenes of a folder, which lie at ``root`` for the reader."""
    return _SCENARIOS[scenario][1](_Scenes(folder, root))
