"""The servers that the container, the systemd unit and the Kubernetes manifest start: their commands and settings, with other paths and ports."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

import rasterflight as rf
from rasterflight_server.flight.supervisor import VARIABLE
from rasterflight_server.settings import Settings
from rasterflight_server.settings.load import load
from support.certificates import Authority
from support.deploy import command_of, instructions, manifest, settings_text, unit
from support.server import run_server_command

#: The root of the file system is read-only, as in a pod; what is below /tmp is not.
READ_ONLY = ["unshare", "-rm", "sh", "-c", 'mount --bind /tmp /tmp && mount -o remount,bind,ro / && exec "$@"', "sh"]


@dataclass
class Started:
    """A server as it is shipped."""

    process: subprocess.Popen[str]
    url: str
    log: Path
    root: Path
    token: str
    settings: Settings
    #: What systemd would be told.
    notices: socket.socket

    def port(self, name: str) -> str:
        return next(line.split()[-1] for line in self.log.read_text().splitlines() if f" {name} on " in line)


def arguments(where: str, file: Path, index: Path) -> list[str]:
    """The words after the name of the program."""
    if where == "systemd":
        return [word.replace("/etc/rasterflight/rasterflight.toml", str(file)) for word in command_of("ExecStart")[1:]]
    if where == "kubernetes":
        (container,) = manifest()["Deployment"]["spec"]["template"]["spec"]["containers"]
        return [word.replace("/etc/rasterflight/settings/rasterflight.toml", str(file)) for word in container["args"]]
    return [*next(json.loads(one.rest) for one in instructions() if one.name == "CMD"), f"--collection=ny={index}"]


def read_only() -> list[str]:
    """What a command begins with that may write nothing but below /tmp; nothing where the machine does not let us."""
    try:
        tried = subprocess.run([*READ_ONLY, "test", "-d", "/tmp"], capture_output=True, timeout=30, check=False)
    except FileNotFoundError:
        return []
    return READ_ONLY if tried.returncode == 0 else []


@pytest.fixture(params=["container", "systemd", "systemd --workers=2", "kubernetes"])
def started(request: pytest.FixtureRequest, indexes: dict[str, Path], tmp_path: Path) -> Iterator[Started]:
    where, *more = request.param.split()
    index = tmp_path / "var/lib/rasterflight/ny"
    shutil.copytree(indexes["ny"], index)
    text = re.sub(r'"/(etc|run|var)/', rf'"{tmp_path}/\1/', settings_text(where))
    text = re.sub(r"(0\.0\.0\.0|127\.0\.0\.1):\d+", "127.0.0.1:0", text)
    text = text.replace('"https://indexes.example.org/ny"', f'"{index}"')
    file = tmp_path / "etc/rasterflight/rasterflight.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    settings = load(file).settings
    token = provide(settings, tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    environment.update(HOME="/nonexistent", RASTERFLIGHT_SETTINGS=str(file) if where == "container" else "")
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(f"\0rasterflight-test-{secrets.token_hex(8)}")
    notices.settimeout(10)
    environment[VARIABLE] = "@" + notices.getsockname()[1:].decode()
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*read_only(), sys.executable, "-m", "rasterflight_server", *arguments(where, file, index), *more],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on grpc+tls://127.0.0.1:"), log.read_text()
        yield Started(process, line.split()[-1], log, tmp_path, token, settings, notices)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        notices.close()


def provide(settings: Settings, root: Path) -> str:
    """Make the certificate and the token, and the folders that systemd or Kubernetes would make."""
    pair = Authority(root).issue("server", "127.0.0.1")
    assert settings.tls.certificate is not None
    assert settings.tls.key is not None
    assert settings.access.tokens is not None
    for path in (settings.tls.certificate, settings.access.tokens, settings.cache.indexes, settings.cache.disk):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    log = settings.observe.access_log
    if log is not None and log.is_absolute():
        log.parent.mkdir(parents=True)
    shutil.copy(pair.certificate, settings.tls.certificate)
    shutil.copy(pair.key, settings.tls.key)
    made = run_server_command("token", "create", "ann", "--collection", "ny", "--tokens", settings.access.tokens)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_it_serves_is_reloaded_and_ends(started: Started) -> None:
    assert unit()["Type"] == ["notify"]
    assert started.notices.recv(100) == b"READY=1"
    with rf.connect(started.url, token=started.token, tls_root_certs=started.root / "root.pem") as client:
        table = client.collection("ny").read(windows=[(10, 10, 32, 32)], bands=["red"]).read_all()
        assert table.num_rows == 6
        with grpc.insecure_channel(started.port("health")) as channel:
            assert HealthStub(channel).Check(HealthCheckRequest(), timeout=10).status == 1
        with urllib.request.urlopen(f"http://{started.port('http')}/healthz", timeout=10) as answer:
            assert answer.read() == b"ok\n"
        # As the image asks.
        (check,) = (one.rest for one in instructions() if one.name == "HEALTHCHECK")
        words = json.loads(check[check.index("CMD") + len("CMD") :])
        question = re.sub(r"127\.0\.0\.1:\d+", started.port("http"), words[2])
        assert subprocess.run([sys.executable, "-c", question], timeout=30, check=False).returncode == 0
        # As the unit reloads.
        started.process.send_signal(getattr(signal, "SIG" + command_of("ExecReload")[1].removeprefix("-")))
        assert [row["name"] for row in client.collections().to_pylist()] == ["ny"]
        (stop,) = (one.rest for one in instructions() if one.name == "STOPSIGNAL")
        started.process.send_signal(getattr(signal, stop))
        assert started.process.wait(20) == 0
    assert started.notices.recv(100) == b"STOPPING=1"
    access = started.settings.observe.access_log
    lines = (started.log if access == Path("-") else access).read_text().splitlines()
    calls = [json.loads(line) for line in lines if line.startswith("{")]
    assert {"caller": "ann", "method": "DoGet", "rows": 6, "code": "OK"}.items() <= next(
        call for call in calls if call["method"] == "DoGet"
    ).items()
    assert started.token not in started.log.read_text() + json.dumps(calls)


def test_a_container_that_starts_can_be_ended(tmp_path: Path) -> None:
    """The kernel keeps signals from the first process that it has no handler for."""
    first = ["unshare", "-rpf"]
    try:
        tried = subprocess.run([*first, "true"], capture_output=True, timeout=30, check=False)
    except FileNotFoundError:
        tried = None
    if tried is None or tried.returncode != 0:
        pytest.skip("this machine gives no namespaces of processes: nothing here can be the first process of one")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/ny"
        words = ["serve", f"--collection=ny={url}", "--listen=grpc://127.0.0.1:0", f"--index-cache={tmp_path}"]
        process = subprocess.Popen([*first, sys.executable, "-m", "rasterflight_server", *words])
        try:
            connection, _ = silent.accept()
            with connection:  # never answered
                (inside,) = psutil.Process(process.pid).children()
                inside.send_signal(signal.SIGTERM)
                assert process.wait(5) == 128 + signal.SIGTERM
        finally:
            for one in psutil.Process(process.pid).children() if process.poll() is None else ():
                one.kill()
            process.kill()
            process.wait()
