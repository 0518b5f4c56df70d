"""The figures of a server: all that its processes count, added up."""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Final, Self

from rasterflight_server.flight.service import Service
from rasterflight_server.telemetry import CALLER_TOTALS, MOST_CALLERS, OTHERS, Duration, DurationKey

#: Counters that go up and down; they end with their process.
GAUGES: Final = frozenset(["streams", "cache_bytes", "cache_limit", "uploads", "upload_bytes"])

_Callers = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted, by one process or by several."""

    processes: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    durations: dict[DurationKey, Duration] = field(default_factory=dict)
    callers: _Callers = field(default_factory=dict)
    #: Name -> snapshot, and the number of its records.
    collections: dict[str, tuple[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, service: Service) -> Self:
        """The figures of this process."""
        telemetry = service.telemetry
        return cls(
            [os.getpid()],
            {**telemetry.snapshot(), **service.workers.cache.counts(), **service.uploads.counts()},
            telemetry.durations(),
            telemetry.callers(),
            {name: (one.snapshot, one.manifest.records) for name, one in sorted(service.collections.items())},
        )

    def __add__(self, other: "Figures") -> "Figures":
        keys = {**self.durations, **other.durations}
        return Figures(
            self.processes + other.processes,
            _sum(self.counts, other.counts),
            {key: self.durations.get(key, Duration()) + other.durations.get(key, Duration()) for key in keys},
            _bounded(self.callers, other.callers),
            {**self.collections, **other.collections},
        )

    def past(self) -> "Figures":
        """What stays of them when their process has gone."""
        callers = {name: _lasting(counts) for name, counts in self.callers.items()}
        return Figures([], _lasting(self.counts), self.durations, callers)

    def calls(self) -> dict[str, dict[str, int]]:
        """How many calls ended: method -> code -> number."""
        calls: dict[str, dict[str, int]] = {}
        for (what, *kind), duration in sorted(self.durations.items()):
            if what == "rpc":
                method, code = kind
                calls.setdefault(method, {})[code] = sum(duration.classes)
        return calls

    def totals(self) -> dict[str, dict[str, float]]:
        """What took how long in all: what -> how often, and seconds."""
        totals: dict[str, Duration] = {}
        for (what, *_), duration in self.durations.items():
            totals[what] = totals.get(what, Duration()) + duration
        return {what: {"count": sum(one.classes), "seconds": one.seconds} for what, one in sorted(totals.items())}

    def pack(self) -> bytes:
        """As JSON."""
        durations = [(key, one.classes, one.seconds) for key, one in self.durations.items()]
        return json.dumps({**asdict(self), "durations": durations}).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read what `pack` wrote."""
        value = json.loads(data)
        value["durations"] = {tuple(key): Duration(*of) for key, *of in value["durations"]}
        value["collections"] = {name: tuple(about) for name, about in value["collections"].items()}
        return cls(**value)


@dataclass(slots=True)
class Seen:
    """What metrics are made of; nothing, as long as a server starts."""

    figures: Callable[[], Figures] = Figures
    #: How many there are.
    connections: Callable[[], int] = int


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    total = Counter(one)
    total.update(other)
    return dict(total)


def _lasting(counts: dict[str, int]) -> dict[str, int]:
    return {name: 0 if name in GAUGES else count for name, count in counts.items()}


def _bounded(one: _Callers, other: _Callers) -> _Callers:
    total = dict(one)
    for name, counts in other.items():
        place = name if name in total or len(total) < MOST_CALLERS else OTHERS
        total[place] = _sum(total.get(place, dict.fromkeys(CALLER_TOTALS, 0)), counts)
    return total
