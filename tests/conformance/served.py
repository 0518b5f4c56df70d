"""The server that the vectors are about: the bundled collections, and some that are made for it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from conformance.made import break_files, make_files
from conftest import COLLECTIONS, DATA
from support.server import ServerProcess, run_server_command

#: Bundled collections that the vectors use.
BUNDLED = {name: DATA / folder for name, folder in COLLECTIONS.items() if name != "striped"}


@contextmanager
def served() -> Iterator[ServerProcess]:
    """Index everything, break what is to be broken, and serve it."""
    with TemporaryDirectory(prefix="rf-vectors-") as name:
        root = Path(name)
        made = make_files(root / "files")
        indexes = {name: root / "indexes" / name for name in [*BUNDLED, *made]}
        for collection, source in {**{name: path / "items.json" for name, path in BUNDLED.items()}, **made}.items():
            done = run_server_command("index", source, "--out", indexes[collection], "--name", collection)
            if done.returncode:
                raise RuntimeError(done.stderr)
        break_files(root / "files")
        with ServerProcess(indexes) as server:
            yield server


__all__ = ["BUNDLED", "served"]
