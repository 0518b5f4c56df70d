"""Programs that tests need and that no Python package brings: put into the user's cache once, by the tools of their own world."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

_SECONDS = 600


def fetched(name: str, tool: str, command: Sequence[str], made: str, environment: Mapping[str, str]) -> Path:
    """A program, fetched unless it is there; of two processes that want it, one fetches. Skips the test where the tool is missing, or fetches nothing.

    Parameters
    ----------
    name
        Of the folder below the cache, with the version: another version gets another folder.
    tool
        What fetches it: npm, go.
    command
        Arguments of the tool. "{}" stands for the folder, also in the environment.
    made
        What is there afterwards, from the folder on.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rasterflight-tests"
    folder = cache / name
    if (folder / made).exists():
        return folder / made
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{name} is not here, and {tool}, which would fetch it, is not installed: this store is NOT TESTED")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / made).exists():
            part = cache / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            told = {key: value.format(part) for key, value in environment.items()}
            done = subprocess.run(
                [found, *(word.format(part) for word in command)],
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                env=os.environ | told,
                check=False,
                cwd=part,
            )
            if done.returncode != 0:
                pytest.skip(f"{tool} does not fetch {name}, so this store is NOT TESTED: {done.stderr[-500:]}")
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
    return folder / made
