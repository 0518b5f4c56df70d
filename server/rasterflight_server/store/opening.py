"""From an href to its source."""

from collections.abc import Iterator
from os.path import normpath
from urllib.parse import unquote

from rasterflight_server.store.places import FOREIGN
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


def from_elsewhere(href: str) -> str:
    """What an href means in a document, or an index, that came from the web or from a bucket.

    Whoever wrote it may name what he likes on other machines: which of them this one reaches is for the operator's network to say.
    Files of this machine are not his to name: ``Stores.open`` refuses what is returned for them, unless a rewrite of the
    operator says of a folder (``file:///folder/``) that it may be read.
    """
    if is_remote(href):
        return href
    path = unquote(href.partition("://")[2]) if "://" in href else href
    return f"{FOREIGN}://{normpath('/' + path.lstrip('/'))}"


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
