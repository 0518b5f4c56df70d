"""The numbers of a server, in lines of text."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rasterflight._plan import human_bytes

_STEPS: Final = (("G", 1e9), ("M", 1e6), ("k", 1e3))
#: So many are shown.
_MOST_CALLERS: Final = 20


def lines(url: str, stats: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
    """Lines that fit a terminal.

    Parameters
    ----------
    url
        Of the server.
    stats
        Its answer to the action ``stats``.
    changes
        What it did lately, as `rates` gives it.
    """
    ratio = changes["cache_hit_ratio"]
    means = ", ".join(f"{what} {_ms(changes[f'{what}_ms'])}" for what in ("plan", "queue", "query"))
    cache = f"{human_bytes(stats['cache_bytes'])} of {human_bytes(stats['cache_limit'])}"
    shown = [
        f"{url}  {_processes(stats)}  {datetime.now().astimezone():%H:%M:%S}",
        "",
        f"calls    {_short(changes['calls'])}/s, {_short(changes['errors'])} errors/s; on average {means}",
        f"streams  {stats['streams']} run, {_short(changes['streams_started'])}/s begin",
        f"sent     {_bytes(changes['bytes_sent'])}, {_short(changes['rows'])} rows/s, {_short(changes['pixels'])} pixels/s",
        f"fetched  {_bytes(changes['bytes_fetched'])}, {_short(changes['requests'])} GETs/s, {_short(changes['tiles_decoded'])} tiles/s",
        f"cache    {'-' if ratio is None else f'{ratio:.0%}'} hits, {cache}, {_short(changes['cache_evictions'])} evictions/s",
        f"uploads  {stats['uploads']}, {human_bytes(stats['upload_bytes'])}",
    ]
    if stats.get("callers"):
        shown += ["", *_table(_callers(stats["callers"], changes["callers"]))]
    if stats["collections"]:
        shown += ["", *_table([("COLLECTION", "SNAPSHOT"), *stats["collections"].items()])]
    return shown


def _callers(callers: Mapping[str, Any], changes: Mapping[str, Any]) -> list[Sequence[str]]:
    """Those who get most now come first, then those who got most before."""
    names = sorted(callers, key=lambda name: (-changes[name]["bytes_sent"], -callers[name]["bytes_sent"], name))
    head = ("CALLER", "STREAMS", "SENT/S", "ROWS/S", "PIXELS/S", "FETCHED/S", "GETS/S", "TILES/S", "SENT IN ALL")
    table: list[Sequence[str]] = [head]
    for name in names[:_MOST_CALLERS]:
        change = changes[name]
        numbers = (_short(change[what]) for what in ("rows", "pixels"))
        reads = (_short(change[what]) for what in ("requests", "tiles_decoded"))
        table.append(
            (
                name,
                str(callers[name]["streams"]),
                human_bytes(round(change["bytes_sent"])),
                *numbers,
                human_bytes(round(change["bytes_fetched"])),
                *reads,
                human_bytes(callers[name]["bytes_sent"]),
            )
        )
    return table


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _processes(stats: Mapping[str, Any]) -> str:
    return f"{stats['processes']} process{'es' if stats['processes'] > 1 else ''}"


def _short(number: float) -> str:
    for unit, size in _STEPS:
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.1f}"


def _bytes(number: float) -> str:
    return f"{human_bytes(round(number))}/s"


def _ms(number: float | None) -> str:
    return "-" if number is None else f"{number:.1f} ms"
