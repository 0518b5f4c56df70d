"""``[cache]``: what is kept for reads to come."""

from dataclasses import dataclass
from pathlib import Path

from rasterflight_server.settings.kinds import ByteSize


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """What is kept for reads to come."""

    memory: ByteSize = 1 << 30
    """Bytes of decoded tiles, of all processes together; 0: none."""

    disk: Path | None = None
    """Folder for what is read from remote files; None: nothing is kept."""

    disk_size: ByteSize = 20 << 30
    """Bytes that the folder may hold."""

    indexes: Path | None = None
    """Folder for indexes behind URLs; None: that of the user."""
