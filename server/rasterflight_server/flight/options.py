"""What a server is told when it is started, besides what and where to serve."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rasterflight_server.flight.crew import Crew
from rasterflight_server.store import DiskCache
from rasterflight_server.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How a server lives, and what it may keep."""

    #: Seconds that running streams may take after the signal to end.
    grace: float
    #: Also end when standard input is closed: the process that started this one has gone. A socket file's folder, made for
    #: this server alone, is removed with it.
    lifeline: bool
    #: Memory for decoded tiles, of all processes together.
    cache_bytes: int
    #: Folder of a cache for what is read from remote files, and its bytes; None: no cache.
    disk_cache: Path | None
    disk_cache_bytes: int
    #: Folder that indexes behind URLs are kept in; None: that of the user.
    index_cache: Path | None
    #: The processes of the same server. When they are left alone, nothing stays of their folder.
    crew: Crew

    def make_disk_cache(self, telemetry: Telemetry) -> DiskCache | None:
        """The cache on disk, if there is to be one."""
        return None if self.disk_cache is None else DiskCache(self.disk_cache, self.disk_cache_bytes, telemetry)

    def arguments(self, workers: int, folder: Path) -> Iterator[str]:
        """The command line of each of several processes that share a folder."""
        yield from (f"--grace={self.grace}", f"--cache-size={self.cache_bytes}")
        yield from (f"--one-of={workers}", f"--shared-folder={folder}")
        if self.index_cache is not None:
            yield f"--index-cache={self.index_cache}"
        if self.disk_cache is not None:
            yield from (f"--disk-cache={self.disk_cache}", f"--disk-cache-size={self.disk_cache_bytes}")
