"""How the C library keeps memory that was given back."""

import ctypes

#: From malloc.h of the GNU C library.
_M_ARENA_MAX = -8
#: Tens of megabytes may stay in each, and by default there are eight for each CPU; threads that decode take little time to allocate.
ARENAS = 2


def limit_arenas() -> None:
    """Let all threads share a few arenas, so that what waits in them does not add up; nothing happens with other C libraries."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)
