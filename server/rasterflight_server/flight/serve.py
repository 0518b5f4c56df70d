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
from types import FrameType

from rasterflight_server.flight.arenas import limit_arenas
from rasterflight_server.flight.entrance import Entrance
from rasterflight_server.flight.indexes import Indexes
from rasterflight_server.flight.runtime import Runtime
from rasterflight_server.flight.server import FlightServer
from rasterflight_server.flight.service import Service
from rasterflight_server.settings import CacheSettings, Settings
from rasterflight_server.store import DiskCache
from rasterflight_server.telemetry import Telemetry

_log = logging.getLogger("rasterflight_server")

#: How long gRPC may take to close after the last stream ended.
_CLOSE_SECONDS = 2.0


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
    indexes = Indexes(settings.collections, settings.cache.indexes, _disk_cache(settings.cache, telemetry))
    opened = indexes.open_all()
    service = Service(
        opened,
        telemetry,
        indexes.stores(opened),
        settings=settings,
        crew=runtime.crew,
        indexes=indexes,
    )
    # What lives until the end is not to be looked through again and again: it takes longer than most plans.
    gc.collect()
    gc.freeze()
    listen.check_free()
    server = FlightServer(service, entrance)
    ending = _Ending(settings.server.grace)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ending.on_signal)
    signal.signal(signal.SIGHUP, lambda _number, _frame: service.snapshots.wake())
    threading.Thread(target=service.snapshots.watch, daemon=True, name="snapshots").start()
    if runtime.lifeline:
        threading.Thread(target=ending.on_end_of_input, daemon=True, name="lifeline").start()
    print(f"listening on {listen.at(server.port)}", flush=True)  # noqa: T201 - those who start the server wait for it
    ending.event.wait()
    _drain(server, service, ending.grace)
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

    def on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signature of signal handlers
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
    """Let running streams finish, then close."""
    server.calls.drain()
    deadline = time.monotonic() + grace
    while (running := service.telemetry.snapshot()["streams"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    if running:
        _log.warning("%d streams did not finish within %g s and are cut off", running, grace)
    service.workers.close()
    closing = threading.Thread(target=server.shutdown, daemon=True)
    closing.start()
    closing.join(_CLOSE_SECONDS)
