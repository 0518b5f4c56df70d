"""``[cache]``: what is kept for reads to come."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """What is kept for reads to come."""

    memory: int = 1 << 30
    """Bytes of decoded tiles, of all processes together; 0: none."""

    disk: Path | None = None
    """Folder for what is read from remote files; None: nothing is kept."""

    disk_size: int = 20 << 30
    """Bytes that the folder may hold."""

    indexes: Path | None = None
    """Folder for indexes behind URLs; None: that of the user."""
