"""The server that the vectors are about: bundled collections, and some that are made for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from conformance.made import break_files, make_files
from conftest import COLLECTIONS, DATA
from rasterflight_server.ingest import build_index
from support.server import ServerProcess


@contextmanager
def served(bundled: Mapping[str, Path] | None = None) -> Iterator[tuple[ServerProcess, dict[str, Path]]]:
    """Index everything, break what is to be broken, and serve it.

    Parameters
    ----------
    bundled
        Indexes of the bundled collections; None: they are built.

    Yields
    ------
    server, folders
        Folders: those with the files of each collection.
    """
    with TemporaryDirectory(prefix="rf-vectors-") as name:
        root = Path(name)
        made = make_files(root / "files")
        folders = {name: DATA / folder for name, folder in COLLECTIONS.items()} | made
        indexes = dict(bundled or {})
        for collection in folders.keys() - indexes.keys():
            indexes[collection] = root / "indexes" / collection
            items = folders[collection] / "items.json"
            report = build_index(items, indexes[collection], collection)
            if report.failures:
                raise RuntimeError(f"{collection}: {', '.join(map(str, report.failures))}")
        break_files(root / "files")
        with ServerProcess(dict(sorted(indexes.items()))) as server:
            yield server, folders
