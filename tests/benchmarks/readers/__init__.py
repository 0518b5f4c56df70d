"""Readers: each module makes one library do a piece of work.

A module has ``prepare(work, index)``, and ``build(items, index)`` where the library keeps an index.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

#: Name of each reader, and the distribution whose version counts.
READERS = {
    "floor": "obstore",
    "rasterflight": "pyarrow",
    "rasterio": "rasterio",
    "rasteret": "rasteret",
    "async-geotiff": "async-geotiff",
    "odc-stac": "odc-stac",
}
#: Those that are libraries of others.
PEERS = tuple(name for name in READERS if name not in ("floor", "rasterflight"))


class Prepared(NamedTuple):
    """A reader that is ready to do its work: what may be done before is done."""

    #: What is timed; it can be called again.
    read: Callable[[], Any]
    #: Brings a result into the form that the area of the work states; not timed.
    canonical: Callable[[Any], Any]
    #: Processes besides this one that work for it (psutil).
    helpers: Sequence[Any] = ()
    close: Callable[[], None] = lambda: None


class NotOffered(Exception):  # noqa: N818 - not an error
    """The library has no call for this kind of work."""


def load(reader: str) -> ModuleType:
    """The module of a reader.

    Raises
    ------
    ImportError
        The library is not installed.
    """
    version(READERS[reader])
    return import_module(f"benchmarks.readers.{reader.replace('-', '_')}_reader")


def index_folder(out: Path, reader: str, root: str) -> Path:
    """Where the index of a reader is."""
    return out / "index" / ("http" if root.startswith("http") else "local") / reader
