"""A collection as notebooks show it."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from rasterflight._about import About
from rasterflight._description import band_table, facts
from rasterflight._sparkline import Histogram, histogram

_BAR: Final = 6
_HEIGHT: Final = 28
_CELL: Final = "text-align:left;vertical-align:top;padding:1px 12px 1px 0"


def collection_html(about: About, conditions: Sequence[str]) -> str:
    """Render a collection.

    Parameters
    ----------
    conditions
        What narrows it down to some of its records.
    """
    told = facts(about)
    counts = histogram(about.months)
    rows = [(label, escape(value)) for label, value in told.items()]
    if counts is not None:
        at = list(told).index("time") + 1
        rows.insert(at, ("", f"{_bars(counts)}<br><small>{escape(str(counts))}</small>"))
    rows += [("where", f"<code>{escape(condition)}</code>") for condition in conditions]
    head, *bands = band_table(about)
    title = f" &middot; {escape(about.title)}" if about.title else ""
    description = f"<p style='margin:2px 0;max-width:50em'>{escape(about.description)}</p>" if about.description else ""
    return (
        f"<div><strong>{escape(about.name)}</strong>{title}{description}"
        f"<table>{''.join(_row(['<b>' + label + '</b>' if label else '', value]) for label, value in rows)}</table>"
        f"<details open><summary>{len(about.bands)} band{'s' if len(about.bands) > 1 else ''}</summary>"
        f"<table><thead>{_row(map(escape, head), 'th')}</thead>"
        f"<tbody>{''.join(_row(map(escape, band)) for band in bands)}</tbody></table></details></div>"
    )


def _row(cells: Iterable[str], tag: str = "td") -> str:
    return f"<tr>{''.join(f'<{tag} style={_CELL!r}>{cell}</{tag}>' for cell in cells)}</tr>"


def _bars(counts: Histogram) -> str:
    most = max(counts.counts)
    bars = []
    for place, count in enumerate(counts.counts):
        height = max(1, round(_HEIGHT * count / most)) if count else 0
        bars.append(f'<rect x="{place * _BAR}" y="{_HEIGHT - height}" width="{_BAR - 1}" height="{height}"/>')
    width = _BAR * len(counts.counts)
    return (
        f'<svg width="{width}" height="{_HEIGHT + 1}" fill="currentColor" role="img" aria-label="{escape(str(counts))}">'
        f'<line x1="0" x2="{width}" y1="{_HEIGHT + 0.5}" y2="{_HEIGHT + 0.5}" stroke="currentColor" opacity="0.4"/>'
        f"{''.join(bars)}</svg>"
    )
