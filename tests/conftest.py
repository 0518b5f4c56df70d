"""What all tests share: the bundled data, indexes of it, and servers of these."""

import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import rasterflight as rf
from support.server import ServerProcess, run_server_command

DATA = Path(__file__).parent / "data"
#: Folders of tests/data that have an items.json, by the name under which the tests serve them.
COLLECTIONS = {
    "ny": "landsat8-ny-cog",
    "naip": "naip-nd-4709963",
    "mol": "s2-mol-31UFS",
    "charleston": "landsat8-017037-20160503",
    "pucallpa": "landsat-pucallpa",
    "alexandria": "dem-alexandria",
    "paraguay": "landsat8-224077-20200518",
    "s2-29": "s2-29-scene",
    "s2-34": "s2-34SGA-20200318",
    "striped": "landsat8-ny-striped",
}


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA


@pytest.fixture(scope="session")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Indexes of all bundled collections, built by the real command; once for all processes of a run, and for reading alone."""
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent
    root = run / "indexes"
    with (run / "indexes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            for name, folder in COLLECTIONS.items():
                built = run / "indexes.part" / name
                done = run_server_command("index", DATA / folder / "items.json", "--out", built, "--name", name)
                assert done.returncode == 0, done.stderr
            built.parent.rename(root)
    return {name: root / name for name in COLLECTIONS}


@pytest.fixture(scope="session", params=["tcp", "unix"])
def server(request: pytest.FixtureRequest, indexes: dict[str, Path]) -> Iterator[ServerProcess]:
    """One server process for all tests, reached by tcp and by a unix socket."""
    listen = "unix" if request.param == "unix" else "grpc://127.0.0.1:0"
    with ServerProcess(indexes, listen=listen) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[rf.Client]:
    with rf.connect(server.url) as client:
        yield client


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C is heard, here and by what is started: a run in the background begins with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
