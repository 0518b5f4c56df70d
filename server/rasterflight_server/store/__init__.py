"""Bytes of files, wherever they lie."""

from rasterflight_server.store.opening import is_remote, open_source, read_whole
from rasterflight_server.store.readahead import Prefix, ReadAhead
from rasterflight_server.store.source import Data, Source

__all__ = ["Data", "Prefix", "ReadAhead", "Source", "is_remote", "open_source", "read_whole"]
