"""Settings of real servers: from a file, of several processes, and of a private server that they are none of."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import rasterflight as rf
from support.server import run_server_command


@pytest.fixture
def file(indexes: dict[str, Path], tmp_path: Path) -> Path:
    (tmp_path / "ny").symlink_to(indexes["ny"])
    path = tmp_path / "rf.toml"
    path.write_text('server = {listen = "grpc://127.0.0.1:0"}\ncache = {disk = "kept"}\n[collections]\nny = "ny"\n')
    return path


@contextmanager
def serving(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that is told nothing but these; its process and where it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rasterflight_server", "serve", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().removeprefix("listening on ").strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()


def read_one(url: str) -> int:
    with rf.connect(url) as client:
        return int(client.collection("ny").get_numpy(windows=[(0, 0, 2, 2)], bands=["red"]).size)


def test_a_server_by_its_file(file: Path) -> None:
    with serving(f"--settings={file}") as (_, url):
        assert url.startswith("grpc://127.0.0.1:")
        assert read_one(url) > 0
        assert (file.parent / "kept").is_dir()


def test_a_server_by_a_file_that_a_variable_names(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    with serving(RASTERFLIGHT_SETTINGS=str(file), RASTERFLIGHT_CACHE_DISK=str(other)) as (_, url):
        assert read_one(url) > 0
        assert other.is_dir()
        assert not (file.parent / "kept").exists()


def test_several_processes_have_the_settings_of_the_file(file: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    secret = "https://user:hush@127.0.0.1:1/keys"
    file.write_text(
        file.read_text()
        + f'[access]\nanonymous = true\njwt.jwks = "{secret}"\njwt.issuer = "https://issuer.example"\njwt.audience = "tests"\n'
    )
    with serving(f"--settings={file}", "--workers=2", TMPDIR=str(temporary)) as (process, url):
        assert read_one(url) > 0
        assert (file.parent / "kept").is_dir()
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        for child in children:
            assert "hush" not in " ".join(child.cmdline())
        (folder,) = temporary.iterdir()
        kept = folder / "settings.toml"
        assert secret in kept.read_text()
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert list(temporary.iterdir()) == []


def test_workers_that_only_the_file_has(file: Path) -> None:
    file.write_text(file.read_text().replace("{listen", "{workers = 2, listen"))
    # What the environment says was taken once, by the process that they come from.
    with serving(f"--settings={file}", RASTERFLIGHT_SERVER_GRACE="1.5") as (process, url):
        assert len(psutil.Process(process.pid).children()) == 2
        assert read_one(url) > 0


def test_a_private_server_has_settings_of_its_own(indexes: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RASTERFLIGHT_SETTINGS", "/nowhere/at/all.toml")
    monkeypatch.setenv("RASTERFLIGHT_SERVER_WORKERS", "none")
    monkeypatch.setenv("RASTERFLIGHT_LIMITS_NONSENSE", "1")
    monkeypatch.setattr(tempfile, "tempdir", None)
    with rf.local({"ny": indexes["ny"]}) as client:
        assert client.collection("ny").get_numpy(windows=[(0, 0, 2, 2)], bands=["red"]).size


def test_what_is_wrong_is_said_once_and_without_a_traceback(file: Path) -> None:
    file.write_text("[server]\nlissten = 'x'")
    done = run_server_command("serve", "--settings", file)
    assert done.returncode == 1
    assert done.stderr == (f"error: {file}: server.lissten: there is no such setting (did you mean 'server.listen'?)\n")
