"""How many connections there are, as the kernel knows it: Arrow's Flight server does not tell."""

from pathlib import Path
from typing import Final

_NET: Final = Path("/proc/self/net")
_ESTABLISHED: Final = "01"
_CONNECTED: Final = "03"


def connections_to(port: int, path: Path | None) -> int:
    """Count connections that callers have.

    Parameters
    ----------
    port
        That is listened on.
    path
        The unix socket instead, if there is one.
    """
    if path is not None:
        # Num RefCount Protocol Flags Type State Inode Path
        return sum(line[5] == _CONNECTED and line[-1] == str(path) for line in _lines("unix"))
    local = f":{port:04X}"
    # sl local_address rem_address st
    return sum(line[1].endswith(local) and line[3] == _ESTABLISHED for file in ("tcp", "tcp6") for line in _lines(file))


def _lines(file: str) -> list[list[str]]:
    try:
        text = (_NET / file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.split() for line in text.splitlines()[1:]]
