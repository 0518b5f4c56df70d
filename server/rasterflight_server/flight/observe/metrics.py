"""Figures as Prometheus takes them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.metadata import version
from itertools import accumulate
from platform import python_version
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from pyarrow import __version__ as arrow_version

from rasterflight_protocol import ErrorCode
from rasterflight_server.flight.observe.figures import GAUGES, Figures, Seen
from rasterflight_server.telemetry import BOUNDS, Duration

_PREFIX: Final = "rasterflight_"

#: Counter -> name, and what it is.
_COUNTS: Final = {
    "streams": ("streams_active", "Streams that run."),
    "streams_started": ("streams", "Streams that began."),
    "batches": ("batches_transferred", "Record batches sent."),
    "rows": ("rows_transferred", "Rows sent."),
    "bytes_sent": ("bytes_transferred", "Bytes of record batches sent, before compression."),
    "pixels": ("pixels_transferred", "Pixels sent, of all bands."),
    "requests": ("source_requests", "Ranges of files asked for, also of the disk cache."),
    "bytes_fetched": ("source_bytes", "Bytes of files read, also from the disk cache."),
    "tiles_decoded": ("tiles_decoded", "Tiles decoded."),
    "source_retries": ("source_retries", "Requests to stores that had to be made again."),
    "source_errors": ("source_errors", "Requests to stores that failed for good."),
    "cache_hits": ("tile_cache_hits", "Tiles that were at hand, decoded."),
    "cache_misses": ("tile_cache_misses", "Tiles that were not at hand."),
    "cache_evictions": ("tile_cache_evictions", "Decoded tiles that made room for others."),
    "cache_bytes": ("tile_cache_bytes", "Bytes of decoded tiles kept."),
    "cache_limit": ("tile_cache_limit_bytes", "Bytes of decoded tiles that may be kept."),
    "disk_cache_hits": ("disk_cache_hits", "Ranges that the disk cache had."),
    "disk_cache_misses": ("disk_cache_misses", "Ranges that the disk cache did not have."),
    "disk_cache_evictions": ("disk_cache_evictions", "Ranges that the disk cache dropped for others."),
    "disk_cache_errors": ("disk_cache_errors", "Ranges that the disk cache could not keep."),
    "disk_cache_bytes_read": ("disk_cache_read_bytes", "Bytes that came from the disk cache."),
    "disk_cache_bytes_written": ("disk_cache_written_bytes", "Bytes that went to the disk cache."),
    "uploads": ("uploads", "Uploads of areas kept."),
    "upload_bytes": ("upload_bytes", "Bytes that kept uploads count for."),
}
#: Counter of a caller -> name.
_OF_CALLERS: Final = {
    "streams": ("caller_streams_active", "Streams of a caller that run."),
    "streams_started": ("caller_streams", "Streams that a caller began."),
    "rows": ("caller_rows_transferred", "Rows sent to a caller."),
    "bytes_sent": ("caller_bytes_transferred", "Bytes of record batches sent to a caller."),
    "pixels": ("caller_pixels_transferred", "Pixels sent to a caller, of all bands."),
    "requests": ("caller_source_requests", "Ranges of files asked for by streams of a caller."),
    "bytes_fetched": ("caller_source_bytes", "Bytes of files read by streams of a caller."),
    "tiles_decoded": ("caller_tiles_decoded", "Tiles decoded by streams of a caller."),
}
#: Duration -> name, labels, and what it is.
_DURATIONS: Final = {
    "rpc": ("rpc_duration_seconds", ("method", "code"), "How long calls took."),
    "query": (
        "query_duration_seconds",
        ("collection", "layout"),
        "How long reads took, from the ticket to the last row.",
    ),
    "plan": ("plan_duration_seconds", ("collection",), "How long it took to look up the index and to plan."),
    "queue": ("queue_duration_seconds", (), "How long streams waited for their turn."),
}
#: Codes of calls that were turned away as the server, or its operator, wants it.
REJECTS: Final = tuple(
    code.code
    for code in (
        ErrorCode.BUSY,
        ErrorCode.DRAINING,
        ErrorCode.LIMIT_EXCEEDED,
        ErrorCode.UNAUTHENTICATED,
        ErrorCode.FORBIDDEN,
    )
)


class Metrics(Collector):
    """Figures as metrics, as of the moment when they are asked for.

    Parameters
    ----------
    seen
        Where they come from.
    process
        Of the process that answers, besides those that count.
    """

    def __init__(self, seen: Seen, process: int) -> None:
        self._seen = seen
        self._process = process

    def registry(self) -> CollectorRegistry:
        """A registry of these metrics alone."""
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that nothing is asked before its time."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        figures = self._seen.figures()
        yield from _counts(figures.counts)
        yield from _callers(figures.callers)
        yield from _durations(figures)
        yield from _calls(figures)
        yield _gauge("connections_active", "Connections of callers.", self._seen.connections())
        yield _gauge("processes", "Processes that answer calls.", len(figures.processes))
        snapshots = GaugeMetricFamily(
            _PREFIX + "collection_info", "Snapshots served.", labels=["collection", "snapshot"]
        )
        records = GaugeMetricFamily(_PREFIX + "collection_records", "Records of a collection.", labels=["collection"])
        for name, (snapshot, count) in figures.collections.items():
            snapshots.add_metric([name, snapshot], 1)
            records.add_metric([name], count)
        yield from (snapshots, records, _build())
        yield from _processes({*figures.processes, self._process})


def _counts(counts: dict[str, int]) -> Iterator[Metric]:
    for name, count in counts.items():
        metric, about = _COUNTS.get(name, (name, f"Counter {name} of the action stats."))
        if name in GAUGES:
            yield _gauge(metric, about, count)
        else:
            yield CounterMetricFamily(_PREFIX + metric, about, value=count)


def _callers(callers: dict[str, dict[str, int]]) -> Iterator[Metric]:
    for name, (metric, about) in _OF_CALLERS.items():
        family = GaugeMetricFamily if name in GAUGES else CounterMetricFamily
        found = family(_PREFIX + metric, about, labels=["caller"])
        for caller, counts in sorted(callers.items()):
            found.add_metric([caller], counts[name])
        yield found


def _durations(figures: Figures) -> Iterator[Metric]:
    families = {
        what: HistogramMetricFamily(_PREFIX + name, about, labels=labels)
        for what, (name, labels, about) in _DURATIONS.items()
    }
    found = {("queue",): Duration(), **figures.durations}
    for (what, *kind), duration in sorted(found.items(), key=lambda item: item[0]):
        bounds = [*map(str, BOUNDS), "+Inf"]
        families[what].add_metric(kind, list(zip(bounds, accumulate(duration.classes), strict=True)), duration.seconds)
    return iter(families.values())


def _calls(figures: Figures) -> Iterator[Metric]:
    calls = CounterMetricFamily(_PREFIX + "rpc_count", "Calls that ended.", labels=["method", "code"])
    by_code: Counter[str] = Counter()
    for method, codes in figures.calls().items():
        for code, count in codes.items():
            calls.add_metric([method, code], count)
            by_code[code] += count
    yield calls
    errors = CounterMetricFamily(_PREFIX + "errors", "Calls that ended in an error.", labels=["code"])
    for code in (one.code for one in ErrorCode):
        errors.add_metric([code], by_code[code])
    yield errors
    rejects = CounterMetricFamily(_PREFIX + "rejects", "Calls that were turned away.", labels=["reason"])
    for code in REJECTS:
        rejects.add_metric([code], by_code[code])
    yield rejects


def _processes(processes: Iterable[int]) -> Iterator[Metric]:
    """Memory, time and files of all processes together, by the names that are known."""
    total: dict[str, Metric] = {}
    for process in processes:
        for metric in ProcessCollector(pid=partial(int, process), registry=None).collect():
            before = total.setdefault(metric.name, metric)
            if before is not metric:
                [one], [other] = before.samples, metric.samples
                combine = min if metric.name.endswith(("start_time_seconds", "max_fds")) else _add
                before.samples = [one._replace(value=combine(one.value, other.value))]
    return iter(total.values())


def _add(one: float, other: float) -> float:
    return one + other


def _build() -> Metric:
    build = GaugeMetricFamily(
        _PREFIX + "build_info", "What the server is made of.", labels=["version", "python", "pyarrow"]
    )
    build.add_metric([version("rasterflight"), python_version(), arrow_version], 1)
    return build


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, about, value=value)
