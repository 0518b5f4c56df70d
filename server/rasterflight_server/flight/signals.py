"""Signals, taken by a thread that waits for nothing else.

A handler in Python runs when the main thread comes to it; where a signal reached another thread of the process, a main thread that waits does not wake up.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping

_log = logging.getLogger("rasterflight_server")


def take_signals(handlers: Mapping[int, Callable[[int], None]]) -> None:
    """Take signals from now on.

    Parameters
    ----------
    handlers
        Number of a signal -> what is called with it, on the thread that takes them all, one after the other.
    """
    taken, given = os.pipe()
    os.set_blocking(given, False)
    # Written to inside the handler in C, on whichever thread that runs.
    signal.set_wakeup_fd(given, warn_on_full_buffer=False)
    for number in handlers:
        signal.signal(number, lambda _number, _frame: None)
    threading.Thread(target=_take, args=(taken, handlers), daemon=True, name="signals").start()


def _take(taken: int, handlers: Mapping[int, Callable[[int], None]]) -> None:
    while True:
        for number in os.read(taken, 64):
            handler = handlers.get(number)
            if handler is None:
                continue
            try:
                handler(number)
            except Exception:  # noqa: BLE001 - the next signal must be heard all the same
                _log.exception("what signal %d asks for has failed", number)
