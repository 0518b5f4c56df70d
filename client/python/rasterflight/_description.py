"""A collection in words: facts with labels, and a table of its bands."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from rasterflight._about import About, BandAbout
from rasterflight._sparkline import histogram

WIDTH: Final = 80
_UNITS: Final = {"metre": " m", "degree": "°", "US survey foot": " ft", "foot": " ft"}
#: So many CRS are named, the others counted.
_NAMED: Final = 6
_HEAD: Final = ("BAND", "DTYPE", "RESOLUTION", "NODATA", "SCALE", "OFFSET", "UNIT", "NAMES")


def facts(about: About) -> dict[str, str]:
    """Labels and what they say; without the bands, and without what is not known."""
    found = {
        "records": f"{about.records:,}",
        "time": span(about.start, about.end),
        "extent": "-" if about.extent is None else ", ".join(f"{edge:.6g}" for edge in about.extent),
        "crs": "; ".join(_crs(about)) or "-",
        "license": about.license,
        "attribution": about.attribution,
        "providers": "; ".join(_providers(about)),
        "snapshot": about.snapshot,
    }
    return {label: value for label, value in found.items() if value}


def band_table(about: About, bands: Sequence[BandAbout] | None = None) -> list[tuple[str, ...]]:
    """Rows of cells, the first with the heads of the columns; columns that say nothing are left out."""
    rows = [_HEAD, *(_cells(band, about) for band in (about.bands if bands is None else bands))]
    kept = [column for column in zip(*rows, strict=True) if any(column[1:]) or column[0] in _HEAD[:3]]
    return list(zip(*kept, strict=True))


def info_lines(about: About, columns: Sequence[str], encoding: str) -> Iterator[str]:
    """All that is known, for a terminal of ``WIDTH`` columns."""
    yield about.name if about.title is None else f"{about.name}: {about.title}"
    if about.description:
        yield from textwrap.wrap(about.description, WIDTH)
    yield ""
    told = facts(about) | {"columns": ", ".join(columns)}
    margin = max(map(len, told)) + 2
    for label, value in told.items():
        yield from _labelled(label, value, margin)
        counts = histogram(about.months)
        if label == "time" and counts is not None:
            bars = textwrap.wrap(counts.bars(encoding), WIDTH - margin, drop_whitespace=False)
            yield from (" " * margin + line.rstrip() for line in bars)
            yield f"{'':{margin}}{counts}"
    yield ""
    yield from aligned(band_table(about))


def summary_lines(about: About, *, narrowed: bool) -> Iterator[str]:
    """The most important of it, in a few lines; ``narrowed``: it is about some of the records."""
    told = facts(about)
    some = "some of " if narrowed else ""
    yield from _labelled("records", f"{some}{told['records']}, {told['time']}", len("records  "))
    yield from _labelled("extent", told["extent"], len("records  "))
    yield from _labelled("crs", told["crs"], len("records  "))
    yield from _labelled("bands", "; ".join(_alike(about)), len("records  "))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells below one another; the last column is wrapped at ``WIDTH``."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    margin = sum(widths[:-1]) + 2 * len(widths[:-1])
    lines = []
    for *cells, last in rows:
        start = "  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)), ""])
        wrapped = textwrap.wrap(last, max(WIDTH - margin, 12), break_on_hyphens=False) or [""]
        lines += [line.rstrip() for line in (start + wrapped[0], *(" " * margin + more for more in wrapped[1:]))]
    return lines


def span(start: datetime | None, end: datetime | None) -> str:
    """Days of the first and the last."""
    first, last = ("-" if time is None else time.date().isoformat() for time in (start, end))
    return first if first == last else f"{first} to {last}"


def _labelled(label: str, value: str, margin: int) -> list[str]:
    wrapped = textwrap.wrap(value, WIDTH - margin, break_on_hyphens=False) or [""]
    return [f"{label:{margin}}{wrapped[0]}", *(" " * margin + line for line in wrapped[1:])]


def _alike(about: About) -> Iterator[str]:
    """Bands by what they have in common, as ``red, nir (uint16, 10 m)``."""
    groups: dict[str, list[str]] = {}
    for band in about.bands:
        common = ", ".join(filter(None, (band.dtype, _resolution(band, about), "classes" if band.classes else "")))
        groups.setdefault(common, []).append(band.name)
    return (f"{', '.join(names)} ({common})" for common, names in groups.items())


def _cells(band: BandAbout, about: About) -> tuple[str, ...]:
    names = ", ".join(band.aliases)
    return (
        band.name,
        band.dtype,
        _resolution(band, about),
        band.nodata or "",
        "" if band.scale is None else f"{band.scale:g}",
        "" if band.offset is None else f"{band.offset:g}",
        band.unit or ("classes" if band.classes else ""),
        "; ".join(filter(None, (names, band.description))),
    )


def _resolution(band: BandAbout, about: About) -> str:
    # Degrees of one record are not metres of another.
    units = {_UNITS.get(about.units.get(crs) or "", "") for crs in about.crs}
    unit = units.pop() if len(units) == 1 else ""
    sizes = list(dict.fromkeys(f"{size:.5g}" for size in band.resolution))
    others = f" and {len(sizes) - 1} more" if len(sizes) > 1 else ""
    return f"{sizes[0]}{unit}{others}" if sizes else ""


def _crs(about: About) -> Iterator[str]:
    names = [name if len(name) <= WIDTH // 2 else f"{name[: WIDTH // 2]}..." for name in about.crs]
    for name, count in list(zip(names, about.crs.values(), strict=True))[:_NAMED]:
        yield name if count is None or len(names) == 1 else f"{name} ({count:,})"
    if len(names) > _NAMED:
        yield f"{len(names) - _NAMED} more"


def _providers(about: About) -> Iterator[str]:
    for provider in about.providers:
        roles = ", ".join(provider.get("roles") or ())
        yield f"{provider.get('name')} ({roles})" if roles else str(provider.get("name"))
