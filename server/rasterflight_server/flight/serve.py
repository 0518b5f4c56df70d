"""The life of a server process: start, serve, drain, end."""

import contextlib
import gc
import logging
import os
import shutil
import signal
import sys
import threading
import time
from functools import partial

from rasterflight_server.flight.arenas import limit_arenas
from rasterflight_server.flight.entrance import Entrance
from rasterflight_server.flight.indexes import Indexes
from rasterflight_server.flight.observe.connections import connections_to
from rasterflight_server.flight.observe.figures import Figures, Seen
from rasterflight_server.flight.observe.observer import Observer
from rasterflight_server.flight.observe.ports import open_ports
from rasterflight_server.flight.observe.team import FIGURES, answer
from rasterflight_server.flight.readiness import Readiness
from rasterflight_server.flight.runtime import Runtime
from rasterflight_server.flight.server import FlightServer
from rasterflight_server.flight.service import Service
from rasterflight_server.flight.signals import take_signals
from rasterflight_server.flight.supervisor import tell_supervisor
from rasterflight_server.settings import CacheSettings, Settings
from rasterflight_server.store import DiskCache
from rasterflight_server.telemetry import Telemetry

_log = logging.getLogger("rasterflight_server")

#: How long streams may take to tell their callers that they are cut off.
_TELL_SECONDS = 1.0
#: How long gRPC may take to close after the last stream ended.
_CLOSE_SECONDS = 2.0
#: While streams finish, how often those who have none are sent to another process.
_AGAIN_SECONDS = 0.5


def serve(settings: Settings, runtime: Runtime = Runtime()) -> None:  # noqa: B008 - it never changes
    """Serve collections until a signal comes; does not return, the process ends with status 0.

    SIGTERM or SIGINT: new calls are refused as DRAINING, running streams may finish within the grace. A second
    signal ends the process at once. New snapshots of the indexes are taken as they turn up, within a second or so; SIGHUP looks
    at once. When the server is ready it prints ``listening on LOCATION``.

    Parameters
    ----------
    settings
        What to serve, where and how.
    runtime
        What this process is told besides.

    Raises
    ------
    ServiceError
        An index, certificate or file of tokens cannot be used, the location cannot be listened on or would let everybody in, or
        the cache cannot be written.
    """
    limit_arenas()
    entrance = Entrance.open(settings)
    listen = entrance.listen
    telemetry = Telemetry()
    observer = Observer.of(settings.observe, telemetry)
    readiness, seen = Readiness(), Seen()
    if runtime.crew.folder is None:
        open_ports(settings.observe, readiness, settings.collections, seen)
        tell_supervisor(readiness)
    indexes = Indexes(settings.collections, settings.cache.indexes, _disk_cache(settings.cache, telemetry))
    opened = indexes.open_all()
    service = Service(
        opened,
        telemetry,
        indexes.stores(opened),
        settings=settings,
        crew=runtime.crew,
        indexes=indexes,
        readiness=readiness,
    )
    # What lives until the end is not to be looked through again and again: it takes longer than most plans.
    gc.collect()
    gc.freeze()
    listen.check_free()
    server = FlightServer(service, entrance, observer)
    seen.figures = partial(Figures.of, service)
    seen.connections = partial(connections_to, server.port, listen.path)
    if runtime.crew.folder is not None and listen.path is not None:
        answer(listen.path.with_suffix(FIGURES), seen.figures)
    ending = _Ending(settings.server.grace)
    take_signals(
        {
            signal.SIGTERM: ending.on_signal,
            signal.SIGINT: ending.on_signal,
            signal.SIGHUP: lambda _number: service.snapshots.wake(),
        }
    )
    threading.Thread(target=service.snapshots.watch, daemon=True, name="snapshots").start()
    if runtime.lifeline:
        threading.Thread(target=ending.on_end_of_input, daemon=True, name="lifeline").start()
    print(f"listening on {listen.at(server.port)}", flush=True)  # noqa: T201 - those who start the server wait for it
    readiness.serve()
    ending.event.wait()
    _drain(server, service, ending.grace)
    service.workers.close()
    observer.close()
    listen.remove()
    if runtime.lifeline and listen.path is not None:
        with contextlib.suppress(OSError):
            listen.path.parent.rmdir()
        if ending.abandoned and runtime.crew.folder is not None:
            shutil.rmtree(listen.path.parent, ignore_errors=True)
    logging.shutdown()
    sys.stdout.flush()
    # Threads of gRPC, or of a store that does not answer, must not hold up the end.
    os._exit(0)


def _disk_cache(settings: CacheSettings, telemetry: Telemetry) -> DiskCache | None:
    return None if settings.disk is None else DiskCache(settings.disk, settings.disk_size, telemetry)


class _Ending:
    """When and how patiently to end."""

    def __init__(self, grace: float) -> None:
        self.event = threading.Event()
        self.grace = grace
        #: The process that started this one has gone.
        self.abandoned = False

    def on_signal(self, number: int) -> None:
        if self.event.is_set():
            os._exit(128 + number)
        self.event.set()

    def on_end_of_input(self) -> None:
        # Raw reads: at the end of the interpreter a buffered reader would wait for its lock.
        while os.read(sys.stdin.fileno(), 4096):
            continue
        self.grace = 0.0
        self.abandoned = True
        self.event.set()


def _drain(server: FlightServer, service: Service, grace: float) -> None:
    """Let running streams finish, end those that do not, then close."""
    life, end = service.life, time.monotonic() + grace
    life.drain()
    while (running := life.wait(min(_AGAIN_SECONDS, end - time.monotonic()))) and time.monotonic() < end:
        service.streams.send_others_away()
    if running:
        _log.warning("%d streams did not finish within %g s and are cut off", running, grace)
        life.end()
        # What waits for a caller who does not read cannot be told anything: its connection ends with the process.
        life.wait(_TELL_SECONDS)
    closing = threading.Thread(target=server.shutdown, daemon=True)
    closing.start()
    closing.join(_CLOSE_SECONDS)
