"""Headers of many files, read side by side: on threads and processes here, or on the workers of a Dask cluster."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self, TypeVar

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest.header import Header, read_header
from rasterflight_server.ingest.headerprocess import HeaderProcesses
from rasterflight_server.store import Prefix, Stores, is_remote
from rasterflight_server.types import Identity

#: Files read at a time where nothing is said: local ones keep a core busy, remote ones mostly wait.
LOCAL_JOBS: Final = 4
REMOTE_JOBS: Final = 32
_AHEAD_PER_JOB: Final = 8
#: Files that are handed over together.
_LOCAL_CHUNK: Final = 32
_DASK_CHUNK: Final = 64
#: Local files for which processes begin to pay.
_MANY: Final = 5_000

Item = TypeVar("Item")


class Task(NamedTuple):
    """A file to look at."""

    href: str
    #: What is known of it: it is read only if it is another by now.
    known: Identity | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that could not be read, and why."""

    code: ErrorCode
    reason: str


#: None: the file is the one that is known.
Outcome = Header | Unreadable | None


def read_files(tasks: Sequence[Task], stores: Stores, prefix: Prefix | None = None) -> list[Outcome]:
    """Look at files one after the other; never raises for what is wrong with a file."""
    prefix = prefix or Prefix()
    return [_read(task, stores, prefix) for task in tasks]


def _read(task: Task, stores: Stores, prefix: Prefix) -> Outcome:
    try:
        with stores.open(task.href) as source:
            if task.known is not None and same_file(task.known, source.identity()):
                return None
            return read_header(source, prefix)
    except SourceError as error:
        return Unreadable(error.code, str(error))


def same_file(known: Identity, now: Identity) -> bool:
    """Whether size, modification time and ETag are equal, as far as both are known."""
    return known.size == now.size and all(
        was is None or now_is is None or was == now_is
        for was, now_is in ((known.mtime_ns, now.mtime_ns), (known.etag, now.etag))
    )


class HeaderReader(Protocol):
    """Who looks at files; a context."""

    #: Files that are to be under way at a time.
    ahead: int

    def submit(self, tasks: Sequence[Task]) -> Callable[[], list[Outcome]]:
        """Begin with some files; gives a function that waits for what came of them."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


class ThreadReader:
    """Threads of this process; where there are many local files, each with a process that reads for it.

    Parameters
    ----------
    stores
        Where files are opened.
    jobs
        Files read at a time; None: as many as suits where they lie.
    """

    def __init__(self, stores: Stores, jobs: int | None = None) -> None:
        if jobs is not None and jobs < 1:
            raise RequestError(ErrorCode.BAD_REQUEST, f"jobs is at least 1, got {jobs}", field="jobs")
        self.ahead = (jobs or REMOTE_JOBS) * _AHEAD_PER_JOB
        self._stores = stores
        self._prefix = Prefix()
        self._remote = ThreadPoolExecutor(jobs or REMOTE_JOBS, "header")
        self._local = ThreadPoolExecutor(jobs or LOCAL_JOBS, "header")
        self._processes = HeaderProcesses(partial(_reading, stores), _reading(stores))
        self._chunks = _Chunks(self._send, _LOCAL_CHUNK)
        self._sent = 0

    def submit(self, tasks: Sequence[Task]) -> Callable[[], list[Outcome]]:
        """See ``HeaderReader``."""
        if not any(is_remote(task.href) for task in tasks):
            return self._chunks.submit(tasks)
        futures = [self._remote.submit(_read, task, self._stores, self._prefix) for task in tasks]
        return lambda: [future.result() for future in futures]

    def _send(self, tasks: Sequence[Task]) -> Future[list[Outcome]]:
        self._sent += len(tasks)
        if self._sent > _MANY:
            return self._local.submit(self._processes.read, tasks)
        return self._local.submit(read_files, tasks, self._stores, self._prefix)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        for pool in (self._local, self._remote):
            pool.shutdown(cancel_futures=True)
        self._processes.close()


def _reading(stores: Stores) -> Callable[[Sequence[Task]], list[Outcome]]:
    return partial(read_files, stores=stores, prefix=Prefix())


class DaskReader:
    """Workers of a Dask cluster, which must reach the files by the same hrefs and have this package.

    Parameters
    ----------
    stores
        Where files are opened: its options go to the workers, secrets do not.
    address
        Of the scheduler.

    Raises
    ------
    RequestError
        BAD_REQUEST: there is no cluster at the address, or it has no worker.
    """

    def __init__(self, stores: Stores, address: str) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                "the package 'distributed' is missing",
                field="dask",
                hint='pip install "rasterflight[cluster]"',
            ) from None
        connect: Any = Client
        try:
            self._client = connect(address, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise _no_cluster(address, f"it does not answer ({type(error).__name__})") from None
        cores = sum(self._client.nthreads().values())
        if not cores:
            self._client.close()
            raise _no_cluster(address, "it has no worker")
        self.ahead = 4 * _DASK_CHUNK * cores
        self._chunks = _Chunks(lambda tasks: self._client.submit(read_files, tasks, stores, pure=False), _DASK_CHUNK)

    def submit(self, tasks: Sequence[Task]) -> Callable[[], list[Outcome]]:
        """See ``HeaderReader``."""
        return self._chunks.submit(tasks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self._client.close()


class _Chunk:
    """Files that are read one after the other."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        #: With a method ``result``; None: not yet sent.
        self.future: Any = None


class _Chunks:
    """Puts files together, so that handing them over costs little.

    Parameters
    ----------
    send
        Takes files, and gives a future.
    size
        Files of a chunk.
    """

    def __init__(self, send: Callable[[list[Task]], Any], size: int) -> None:
        self._send = send
        self._size = size
        self._open = _Chunk()

    def submit(self, tasks: Sequence[Task]) -> Callable[[], list[Outcome]]:
        chunk, start = self._open, len(self._open.tasks)
        chunk.tasks += tasks
        if len(chunk.tasks) >= self._size:
            self._close()

        def outcomes() -> list[Outcome]:
            if chunk.future is None:
                self._close()
            found: list[Outcome] = chunk.future.result()
            return found[start : start + len(tasks)]

        return outcomes

    def _close(self) -> None:
        self._open.future = self._send(self._open.tasks)
        self._open = _Chunk()


def read_in_order(
    items: Iterable[tuple[Item, Sequence[Task]]], reader: HeaderReader
) -> Iterator[tuple[Item, list[Outcome]]]:
    """Look at the files of items a bounded number of files ahead; items come in order, each with what came of its files."""
    pending: deque[tuple[Item, int, Callable[[], list[Outcome]]]] = deque()
    under_way = 0
    for item, tasks in items:
        count = max(len(tasks), 1)
        pending.append((item, count, reader.submit(tasks) if tasks else _nothing))
        under_way += count
        while pending and (under_way > reader.ahead or pending[0][2] is _nothing):
            first, count, outcomes = pending.popleft()
            under_way -= count
            yield first, outcomes()
    for item, _, outcomes in pending:
        yield item, outcomes()


def _nothing() -> list[Outcome]:
    return []


def _no_cluster(address: str, why: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_REQUEST,
        f"there is no Dask cluster at {address!r}: {why}",
        field="dask",
        hint="give the address of a scheduler, for example tcp://127.0.0.1:8786",
    )
