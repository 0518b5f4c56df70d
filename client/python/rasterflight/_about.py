"""What a server tells of a collection."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Self

#: What every server says about each collection.
TOLD = ("name", "records", "bands", "crs", "extent", "time", "snapshot")


@dataclass(frozen=True, slots=True)
class BandAbout:
    """A band of a collection."""

    name: str
    #: NumPy name of the pixel type of most files.
    dtype: str
    #: Further names that it answers to.
    aliases: tuple[str, ...] = ()
    #: As files declare it (``"0"``, ``"nan"``); None: there is none.
    nodata: str | None = None
    #: physical value = pixel * scale + offset, as the first file says.
    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    description: str | None = None
    #: Values are names rather than amounts.
    classes: bool = False
    #: Widths of pixels in units of their CRS, the most frequent first.
    resolution: tuple[float, ...] = ()

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> Self:
        """Read what the server tells; what this client does not know is left out."""
        known: dict[str, Any] = {item.name: told[item.name] for item in fields(cls) if told.get(item.name) is not None}
        known |= {name: tuple(known[name]) for name in ("aliases", "resolution") if name in known}
        return cls(**known)


@dataclass(frozen=True, slots=True)
class About:
    """A collection, as it was when it was opened."""

    name: str
    #: Version of the index.
    snapshot: str
    records: int
    bands: tuple[BandAbout, ...]
    #: Names of the CRS of the rasters, and how many records have each, the most frequent first; None: not known.
    crs: Mapping[str, int | None]
    #: (minx, miny, maxx, maxy) in lon/lat; None: no record has a footprint.
    extent: tuple[float, float, float, float] | None
    #: Time of the first and of the last record, UTC.
    start: datetime | None
    end: datetime | None
    #: "2018-04" -> records of the month.
    months: Mapping[str, int] = field(default_factory=dict)
    #: Name of a CRS -> "metre", "degree" ...
    units: Mapping[str, str | None] = field(default_factory=dict)
    title: str | None = None
    description: str | None = None
    license: str | None = None
    attribution: str | None = None
    #: Each with a name, and perhaps roles and a URL.
    providers: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> Self:
        """Read what the server tells."""
        start, end = told["time"] or (None, None)
        counts = told.get("crs_counts") or {}
        extent = told["extent"]
        return cls(
            name=told["name"],
            snapshot=told["snapshot"],
            records=told["records"],
            bands=tuple(map(BandAbout.parse, told["bands"])),
            crs={**counts, **{name: None for name in told["crs"] if name not in counts}},
            extent=None if extent is None else tuple(extent),
            start=_time(start),
            end=_time(end),
            months=told.get("months") or {},
            units=told.get("crs_units") or {},
            providers=tuple(told.get("providers") or ()),
            **{name: told.get(name) for name in ("title", "description", "license", "attribution")},
        )


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
