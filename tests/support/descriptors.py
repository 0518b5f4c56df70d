"""What this process has open."""

import contextlib
from pathlib import Path


def open_files() -> set[tuple[int, str]]:
    """Numbers and targets of descriptors. Libraries close theirs when they like: nothing stays open when those of later are ``<=`` those of before."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        # The one by which the folder is read is gone
        with contextlib.suppress(FileNotFoundError):
            found.add((int(descriptor.name), str(descriptor.readlink())))
    return found
