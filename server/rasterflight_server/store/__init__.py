"""Bytes of files, wherever they lie."""

from rasterflight_server.store.diskcache import DiskCache
from rasterflight_server.store.opening import from_elsewhere, is_remote, list_files, open_source, read_whole
from rasterflight_server.store.options import StorageOptions
from rasterflight_server.store.readahead import Prefix, ReadAhead
from rasterflight_server.store.source import Data, Source
from rasterflight_server.store.stores import Stores

__all__ = [
    "Data",
    "DiskCache",
    "Prefix",
    "ReadAhead",
    "Source",
    "StorageOptions",
    "Stores",
    "from_elsewhere",
    "is_remote",
    "list_files",
    "open_source",
    "read_whole",
]
