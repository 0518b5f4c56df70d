"""Maven and Go, which build the other clients; where they cannot fetch what that needs, a test is skipped, loudly."""

import fcntl
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

#: What they say when a registry cannot be reached: Maven, Maven when it tried lately, Go.
_UNREACHABLE = re.compile(r'Could not transfer .*|failed to transfer .*|Get "https://.*(?:dial tcp|connect|timeout).*')


@contextmanager
def alone(project: Path) -> Iterator[None]:
    """One process at a time builds a project and uses what it built: all build into the same folders."""
    folder = os.open(project, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def maven(project: Path, *arguments: str) -> str:
    """Run Maven on a project; gives what it prints."""
    return run_tool(["mvn", "-B", "-ntp", *arguments], project, timeout=800)


def run_tool(command: list[str], folder: Path, *, timeout: float, environment: Mapping[str, str] | None = None) -> str:
    """Run what builds and tests a client, without the settings of ours that are in the environment; gives what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RASTERFLIGHT_")}
    done = subprocess.run(
        command,
        cwd=folder,
        env=inherited | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode and (found := _UNREACHABLE.search(done.stdout + done.stderr)):
        pytest.skip(f"{command[0].upper()} CANNOT FETCH WHAT IT NEEDS, so this client is NOT TESTED: {found[0][:300]}")
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    return done.stdout
