"""From an href to its source."""

from collections.abc import Iterator

from rasterflight_server.store.source import Source
from rasterflight_server.store.stores import Stores
from rasterflight_server.types import Identity


def open_source(href: str, expected: Identity | None = None, stores: Stores | None = None) -> Source:
    """Open a file for reading.

    Parameters
    ----------
    href, expected
        As ``Stores.open``.
    stores
        Whose options and connections to use; None: no options, and connections for this file alone.

    Raises
    ------
    SourceError
        As ``Stores.open``.
    """
    return (stores or Stores()).open(href, expected)


def is_remote(href: str) -> bool:
    """Whether a read of the file costs a round trip rather than a system call."""
    return href.partition("://")[1] != "" and not href.lower().startswith("file://")


def read_whole(href: str, stores: Stores | None = None) -> bytes:
    """All bytes of a file.

    Raises
    ------
    SourceError
        As ``Stores.open`` and ``Source.read_range``.
    """
    with open_source(href, stores=stores) as source:
        return bytes(source.read_range(0, source.identity().size))


def list_files(url: str, stores: Stores) -> Iterator[tuple[str, Identity]]:
    """All files below a prefix of a bucket, as ``Stores.list_files``."""
    return stores.list_files(url)
