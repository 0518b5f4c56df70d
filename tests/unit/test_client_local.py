import gc
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import pytest

import rasterflight as rf
from rasterflight import errors

SERVER = """
import sys, threading
from pyarrow import flight

arguments = sys.argv[1:]
names = [a.removeprefix("--collection=").split("=")[0] for a in arguments if a.startswith("--collection=")]
assert arguments[0] == "serve" and "--lifeline" in arguments, arguments
location = arguments[arguments.index("--listen") + 1]

class Server(flight.FlightServerBase):
    def do_action(self, context, action):
        return ['{"collections": "%s"}'.encode() % ",".join(names).encode()]

server = Server(location)
print("warming up")
print("listening on", location, flush=True)
sys.stdin.buffer.read()
server.shutdown()
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a server that is this script."""

    def install(script=SERVER):
        package = tmp_path / "site" / "rasterflight_server"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(textwrap.dedent(script))
        path = os.pathsep.join([str(package.parent), *sys.path])
        monkeypatch.setenv("PYTHONPATH", path)
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        return tmp_path

    return install


def servers():
    """Private servers of the test at hand; other tests may have theirs."""
    here = f"grpc+unix://{tempfile.gettempdir()}/"
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and any(word.startswith(here) for word in child.cmdline())
    ]


def folders(tmp_path):
    return list(tmp_path.glob("rasterflight-*"))


def test_a_private_server_serves_and_ends_with_the_client(installed):
    tmp_path = installed()
    with rf.local({"a": "some/dir", "b": Path("other")}) as client:
        assert client.healthcheck() == {"collections": "a,b"}
        (folder,) = folders(tmp_path)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert client.url == f"grpc+unix://{folder}/rf.sock"
        assert len(servers()) == 1
    assert servers() == []
    assert folders(tmp_path) == []
    client.close()


def test_a_dropped_client_ends_its_server(installed):
    tmp_path = installed()
    client = rf.local({"a": "dir"})
    assert len(servers()) == 1
    del client
    gc.collect()
    assert servers() == []
    assert folders(tmp_path) == []


SCRIPT = "import rasterflight as rf, sys; c = rf.local({'a': 'd'}); print(c.url, flush=True); "


def test_the_end_of_the_interpreter_ends_the_server(installed):
    tmp_path = installed()
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)
    assert folders(tmp_path) == []


def test_a_killed_client_takes_its_server_along(installed):
    installed()
    client = subprocess.Popen([sys.executable, "-c", SCRIPT + "sys.stdin.read()"], stdin=-1, stdout=-1)
    client.stdout.readline()
    (server,) = servers()
    client.kill()
    client.wait()
    server.wait(20)
    client.stdin.close()
    client.stdout.close()


def test_ctrl_c_is_not_for_the_server(installed):
    installed()
    with rf.local({"a": "dir"}) as client:
        (server,) = servers()
        assert os.getpgid(server.pid) != os.getpgrp()
        assert client.healthcheck()


def test_a_server_that_ignores_the_end_of_its_lifeline_is_ended(installed, monkeypatch):
    monkeypatch.setattr("rasterflight._server._GRACE_SECONDS", 0.2)
    installed(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('listening on x', flush=True); time.sleep(60)"
    )
    client = rf.local({"a": "dir"})
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 10
    assert servers() == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "import sys; sys.exit('noise\\nerror: /x is not an index (build one)')",
            "did not start: /x is not an index \\(build one\\)$",
        ),
        ("raise ZeroDivisionError('oh')", "did not start: ZeroDivisionError: oh$"),
        ("raise SystemExit(3)", "it ended with status 3 and said nothing"),
        ("print('listening on x', end='')", "did not start"),
    ],
)
def test_a_server_that_does_not_start_says_why(installed, script, words):
    tmp_path = installed(script)
    with pytest.raises(errors.ServerStartError, match=words) as caught:
        rf.local({"a": "dir"})
    assert isinstance(caught.value, RuntimeError)
    assert servers() == []
    assert folders(tmp_path) == []


def test_a_server_that_is_silent_is_not_waited_for_for_ever(installed):
    tmp_path = installed("import time; time.sleep(60)")
    with pytest.raises(errors.ServerStartError, match=r"did not listen within 0.3 seconds"):
        rf.local({"a": "dir"}, startup_timeout=0.3)
    assert servers() == []
    assert folders(tmp_path) == []


def test_a_server_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("rasterflight._server._MODULE", "rasterflight_server_that_is_not_there")
    with pytest.raises(errors.ServerStartError, match=r'not installed \(pip install "rasterflight\[server\]"\)'):
        rf.local({"a": "dir"})


def test_no_collections():
    with pytest.raises(ValueError, match="collections is empty"):
        rf.local({})


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12: there are threads
def test_a_fork_leaves_the_server_alone(installed):
    installed()
    with rf.local({"a": "dir"}) as client:
        pid = os.fork()
        if pid == 0:
            client._server.close()
            os._exit(0)
        os.waitpid(pid, 0)
        assert len(servers()) == 1


def test_signals_are_left_as_they_were(installed):
    installed()
    before = signal.getsignal(signal.SIGTERM)
    rf.local({"a": "dir"}).close()
    assert signal.getsignal(signal.SIGTERM) is before
