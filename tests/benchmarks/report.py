"""From runs to tables: medians, ratios, and what is to be reached."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from benchmarks.readers import PEERS
from benchmarks.runner import Row

_OURS = "rasterflight"
#: Seconds that are granted for being another process.
_GRANTED = 0.03
#: Cold wall time as a multiple of the floor's; windows that are small in their tiles go below it.
_FACTOR, _FACTORS = 1.15, {"a": 0.85, "b": 0.85}
_WARM, _CPU = 2.0, 1.25


@dataclass(frozen=True)
class Summary:
    """Medians of one reader on one scenario and transport."""

    cold: float
    warm: float
    cpu: float
    warm_cpu: float
    rss: float
    server_rss: float
    requests: float
    warm_requests: float
    bytes: float
    equal: bool | None


def summaries(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, Summary]]:
    """(scenario, transport) to reader to medians."""
    found: dict[tuple[str, str], dict[str, Summary]] = {}
    measured = [row for row in rows if "seconds" in row]
    place = {name: number for number, name in enumerate(dict.fromkeys(row["reader"] for row in rows))}
    order = sorted(measured, key=lambda row: (row["scenario"], row["transport"] != "local", place[row["reader"]]))
    for (scenario, transport, reader), group in groupby(order, lambda r: (r["scenario"], r["transport"], r["reader"])):
        found.setdefault((scenario, transport), {})[reader] = _summary(list(group))
    return found


def _summary(rows: list[Row]) -> Summary:
    def first(name: str) -> float:
        return statistics.median(row[name][0] for row in rows)

    def later(name: str) -> float:
        return statistics.median([value for row in rows for value in row[name][1:]] or [float("nan")])

    return Summary(
        cold=first("seconds"),
        warm=later("seconds"),
        cpu=first("cpu"),
        warm_cpu=later("cpu"),
        rss=statistics.median(row["rss"] for row in rows),
        server_rss=statistics.median(row["server_rss"] for row in rows),
        requests=first("requests"),
        warm_requests=later("requests"),
        bytes=first("bytes"),
        equal=all(row["equal"] for row in rows) if None not in {row["equal"] for row in rows} else None,
    )


def readers_table(rows: Sequence[Row]) -> str:
    """What each reader took, as a table in Markdown."""
    table = [
        ("scenario", "reader", "cold s", "warm s", "cold/floor", "CPU s", "warm CPU s", "RSS + server MB", "GETs", "warm", "MB",
         "result")
    ]  # fmt: skip
    for (scenario, transport), readers in summaries(rows).items():
        floor = readers.get("floor")
        for reader, its in readers.items():
            http = transport == "http"
            table.append(
                (
                    f"{scenario} {transport}", reader, f"{its.cold:.3f}", f"{its.warm:.3f}",
                    f"{its.cold / floor.cold:.2f}" if floor else "",
                    f"{its.cpu:.2f}", f"{its.warm_cpu:.2f}", f"{its.rss / 1e6:.0f} + {its.server_rss / 1e6:.0f}",
                    f"{its.requests:.0f}" if http else "", f"{its.warm_requests:.0f}" if http else "",
                    f"{its.bytes / 1e6:.1f}" if http else "", {True: "equal", False: "DIFFERS", None: "?"}[its.equal],
                )
            )  # fmt: skip
    return _markdown(table)


def targets_table(rows: Sequence[Row]) -> str:
    """What rasterflight is to reach, and what it does, as a table in Markdown."""
    table = [
        ("scenario", "cold s", "at most", "", "fastest peer s", "", "warm s", "at most", "", "CPU s", "at most", "")
    ]
    for (scenario, transport), readers in summaries(rows).items():
        ours, floor = readers.get(_OURS), readers.get("floor")
        if ours is None:
            continue
        peers = [readers[peer] for peer in PEERS if peer in readers]
        bound = _FACTORS.get(scenario, _FACTOR) * floor.cold + _GRANTED if floor else None
        table.append(
            (
                f"{scenario} {transport}",
                *_held(ours.cold, bound),
                *_held(ours.cold, min((peer.cold for peer in peers), default=None))[1:],
                *_held(ours.warm, min((peer.warm / _WARM for peer in peers), default=None)),
                *_held(ours.cpu, _CPU * floor.cpu if floor else None),
            )
        )
    return _markdown(table)


def checks_table(checks: Sequence[Row]) -> str:
    """What only a service has, as a table in Markdown."""
    table = [("check", "figures")]
    for check in checks:
        figures = (
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in check.items()
        )
        table.append((check["check"], ", ".join(list(figures)[1:])))
    return _markdown(table)


def _held(value: float, bound: float | None) -> tuple[str, str, str]:
    if bound is None:
        return f"{value:.3f}", "", ""
    return f"{value:.3f}", f"{bound:.3f}", "yes" if value <= bound else "NO"


def _markdown(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
