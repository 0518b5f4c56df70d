"""Builds that are killed: at each step that touches the index, and at any time. The old index stays, and the next build works."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rasterflight_server.catalog import Collection
from rasterflight_server.ingest import build_index, update_index
from support.http_server import FileServer
from support.scenes import noise, write_items, write_scene
from support.server import run_server_command

#: For each number on its input, forks a process that runs an update and kills itself at that step of those which change what is on disk.
#: Prints how the process ended. What is imported is imported once.
UPDATES = """
import os, pathlib, shutil, signal, sys
from rasterflight_server.ingest import update_index

def deadly(function):
    def step(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return step

for name in ("rename", "replace", "mkdir", "unlink", "rmdir", "fsync"):
    setattr(os, name, deadly(getattr(os, name)))
for name in ("rename", "replace", "write_text"):
    setattr(pathlib.Path, name, deadly(getattr(pathlib.Path, name)))
shutil.rmtree = deadly(shutil.rmtree)
for line in sys.stdin:
    left = int(line)
    child = os.fork()
    if not child:
        update_index(sys.argv[1])
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def ids(index: Path) -> list[str]:
    """Ids of an index, all of whose parts are read."""
    collection = Collection.open(index)
    table = collection.records(np.arange(collection.manifest.records))
    for row in range(len(table)):
        for asset in collection.assets(row, range(len(collection.manifest.slots))):
            if asset is not None:
                assert asset.tile_ranges(0).counts.sum() > 0
    collection.close()
    return sorted(table["id"].to_pylist())


@pytest.fixture
def index(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    for name in "ab":
        write_scene(tmp_path / "files" / f"{name}.tif", noise(32, 32), tile=32)
    build_index(tmp_path / "files", tmp_path / "index", "x")
    write_scene(tmp_path / "files" / "c.tif", noise(32, 32), tile=32)
    return tmp_path / "index"


def test_at_each_step(index: Path) -> None:
    outcomes = []
    with subprocess.Popen(
        [sys.executable, "-c", UPDATES, str(index)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as updates:
        assert updates.stdin is not None
        assert updates.stdout is not None
        for step in range(1, 200):
            updates.stdin.write(f"{step}\n")
            updates.stdin.flush()
            ended = int(updates.stdout.readline())
            outcomes.append(ids(index))
            assert outcomes[-1] in (["a", "b"], ["a", "b", "c"])
            if ended == 0:
                break
            assert ended == -signal.SIGKILL
            if outcomes[-1] == ["a", "b", "c"]:
                (index.parent / "files" / "c.tif").touch()
    assert step > 20  # it was killed many times, before and after the new index was in place
    assert {len(found) for found in outcomes} == {2, 3}
    left = sorted(path.name for path in index.iterdir())
    assert left == sorted([Collection.open(index).snapshot, "manifest.json"])


def test_at_any_time(index: Path) -> None:
    rng = np.random.default_rng(7)
    for delay in rng.uniform(0.6, 1.6, 8):
        child = subprocess.Popen([sys.executable, "-m", "rasterflight_server", "update", str(index)])
        time.sleep(delay)
        child.kill()
        child.wait()
        assert ids(index) in (["a", "b"], ["a", "b", "c"])
    update_index(index)
    assert ids(index) == ["a", "b", "c"]


@pytest.mark.usefixtures("interruptible")
def test_interrupted_and_resumed(tmp_path: Path) -> None:
    """Ctrl-C keeps the headers that were read; the next run says so, and does not read them again."""
    (tmp_path / "web").mkdir()
    names = [f"{number:03d}" for number in range(60)]
    for name in names:
        write_scene(tmp_path / "web" / f"{name}.tif", noise(32, 32), tile=32)
    with FileServer(tmp_path / "web", delay=0.1) as server:
        records = {name: {"B1": f"{server.url}/{name}.tif"} for name in names[:28]}
        items = write_items(tmp_path / "items.json", records)
        command = ["index", items, "--out", tmp_path / "index", "--name", "x", "--jobs", "1"]
        child = subprocess.Popen(
            [sys.executable, "-m", "rasterflight_server", *map(str, command)], stderr=subprocess.PIPE, text=True
        )
        while len(server.requests) < 15:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
        assert child.returncode == 130
        assert "interrupted: what was read is kept, the same command goes on from there" in said
        asked = len(server.requests)
        assert asked < 28
        done = run_server_command(*command)
        assert done.returncode == 0, done.stderr
        assert "headers that an interrupted build read" in done.stderr
        again = [request.path for request in server.requests[asked:]]
        assert len(again) <= 28 - asked + 3  # those that were under way are read again
    assert len(ids(tmp_path / "index")) == 28
    assert not (tmp_path / "index" / ".headers").exists()


def test_too_many_failures(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for name in "ab":
        write_scene(tmp_path / "files" / f"{name}.tif", noise(32, 32), tile=32)
    command = ["index", tmp_path / "files", "--out", tmp_path / "index", "--name", "x"]
    assert run_server_command(*command, "--fail-over", "1%").returncode == 0
    (tmp_path / "files" / "bad.tif").write_bytes(b"no")
    (tmp_path / "files" / "worse.tif").write_bytes(b"II*\0")
    report = tmp_path / "report.parquet"
    done = run_server_command(*command, "--fail-over", "1%", "--report", report)
    assert done.returncode == 1
    assert "2 of 4 files failed, 1 % may: 1 x the file is not a TIFF; 1 x truncated: bytes" in done.stderr
    assert f"all failures are in {report}" in done.stderr
    assert sorted(pq.read_table(report)["record"].to_pylist()) == ["bad", "bad", "worse", "worse"]
    assert ids(tmp_path / "index") == ["a", "b"]
    done = run_server_command(*command, "--fail-over", "2")
    assert done.returncode == 0
    assert "failed: bad/image: the file is not a TIFF" in done.stdout
    done = run_server_command("update", tmp_path / "index", "--fail-over", "much")
    assert (done.returncode, "'much' does not say how much may fail" in done.stderr) == (1, True)
    done = run_server_command("update", tmp_path / "index")
    assert "0 added, 0 dropped, 0 changed, 2 unchanged, 2 failed" in done.stdout
