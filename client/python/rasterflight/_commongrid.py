"""The one grid that all chips of a read are on, as the server tells of it."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from rasterflight._rows import Chip
from rasterflight_protocol.schemas import GRID_KEY
from rasterflight_protocol.v1.read_pb2 import GridOptions


@dataclass(frozen=True, slots=True)
class CommonGrid:
    """A grid that pixels of many rasters are put on."""

    crs: str | None
    #: a, b, c, d, e, f as in ``affine.Affine``.
    transform: tuple[float, ...]
    width: int
    height: int
    #: Size of the pixels (x, y), and a corner of one, from which the server counts them.
    resolution: tuple[float, float]
    anchor: tuple[float, float]
    #: How the pixels of each band were made; only bands that had to be made anew.
    resampling: Mapping[str, str] = field(default_factory=dict)
    #: Levels of the files that each of them was made of; 0: full resolution, n: the n-th overview.
    levels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    #: Number of records in each CRS.
    source_crs: Mapping[str, int] = field(default_factory=dict)

    def as_chip(self) -> Chip:
        """A chip without pixels that covers all of it."""
        return Chip("", None, None, "", None, self.crs, list(self.transform), self.height, self.width)

    def attributes(self, band: str) -> dict[str, Any]:
        """What a variable says about how it got here; nothing when it was not made anew."""
        if band not in self.resampling:
            return {}
        levels = self.levels.get(band, ())
        told = {"overview_level": levels[0] if len(levels) == 1 else list(levels)} if levels else {}
        return {"resampling": self.resampling[band], **told}


def common_grid(schema: pa.Schema) -> CommonGrid | None:
    """Read what the schema of a stream says about its grid; None: chips are on grids of their own."""
    told = (schema.metadata or {}).get(GRID_KEY)
    if told is None:
        return None
    facts = json.loads(told)
    a, b, c, d, e, f = map(float, facts["transform"])
    return CommonGrid(
        crs=facts["crs"],
        transform=(a, b, c, d, e, f),
        width=facts["width"],
        height=facts["height"],
        resolution=facts["resolution"],
        anchor=facts["anchor"],
        resampling=facts.get("resampling", {}),
        levels={band: tuple(levels) for band, levels in facts.get("levels", {}).items()},
        source_crs=facts.get("source_crs", {}),
    )


def warn_of_crs(schema: pa.Schema, asked: GridOptions, stacklevel: int) -> None:
    """Warn when records of several CRS were put in one that nobody chose."""
    grid = common_grid(schema)
    if grid is None or len(grid.source_crs) < 2 or asked.target_crs or asked.HasField("grid"):  # noqa: PLR2004
        return
    counts = ", ".join(f"{crs} ({count})" for crs, count in grid.source_crs.items())
    warnings.warn(
        f"the records are in several CRS: {counts}; their pixels are put in {grid.crs}, that of most of them: choose another "
        "with target_crs= or like=, or narrow the read",
        UserWarning,
        stacklevel=stacklevel,
    )
