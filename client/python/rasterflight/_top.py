"""``rasterflight top``: what a server does, as it does it."""

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rasterflight._client import Client
from rasterflight._figures import lines
from rasterflight._rates import rates

#: Another screen in place of the one with what was typed before, and no cursor; and back.
_BEGIN: Final = "\x1b[?1049h\x1b[?25l"
_END: Final = "\x1b[?25h\x1b[?1049l"
#: To the upper left corner; what is right of a line, and below the last one, is wiped out.
_HOME: Final = "\x1b[H"
_WIPE_LINE: Final = "\x1b[K"
_WIPE_BELOW: Final = "\x1b[J"


def top(client: Client, *, interval: float, once: bool = False, as_json: bool = False) -> None:
    """Show the numbers of a server again and again, until ``q`` or Ctrl-C.

    Parameters
    ----------
    interval
        Seconds between two looks, which rates are taken over.
    once
        One time only.
    as_json
        A line of JSON each time: ``time``, ``seconds``, ``stats`` as the server gives them, and ``rates``.
    """
    live = not (once or as_json or os.name == "nt") and sys.stdin.isatty() and sys.stdout.isatty()
    before, since = client.stats(), time.monotonic()
    with _screen() if live else contextlib.nullcontext():
        while not _quits(interval, keys=live):
            after, now = client.stats(), time.monotonic()
            seconds, since = now - since, now
            changes = rates(before, after, seconds)
            before = after
            if as_json:
                moment = datetime.now(UTC).isoformat(timespec="milliseconds")
                print(json.dumps({"time": moment, "seconds": seconds, "stats": after, "rates": changes}), flush=True)
            else:
                _show(lines(client.url, after, changes), live=live)
            if once:
                return


def _show(shown: Sequence[str], *, live: bool) -> None:
    if live:
        print(_HOME + "".join(f"{line}{_WIPE_LINE}\r\n" for line in shown) + _WIPE_BELOW, end="", flush=True)
    else:
        print(*shown, sep="\n", flush=True)


@contextlib.contextmanager
def _screen() -> Iterator[None]:
    """A screen of its own, and keys that come without Enter."""
    import termios  # not on Windows
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    print(_BEGIN, end="", flush=True)
    try:
        yield
    finally:
        print(_END, end="", flush=True)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _quits(seconds: float, *, keys: bool) -> bool:
    """Wait; True: somebody pressed q meanwhile."""
    if not keys:
        time.sleep(seconds)
        return False
    until = time.monotonic() + seconds
    while select.select([sys.stdin], [], [], max(0.0, until - time.monotonic()))[0]:
        typed = os.read(sys.stdin.fileno(), 64)
        if not typed or b"q" in typed.lower():
            return True
    return False
