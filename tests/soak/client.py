"""A process of a soak: some clients in threads, each of which tells what came of every call, a line each."""

import json
import random
import sys
import threading
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import rasterflight as rf  # noqa: E402
from soak.reads import OUTCOMES, READS, Rude, connect, digest  # noqa: E402

#: Of all calls, those that end badly on purpose.
_RUDE = 0.15
#: A client goes and comes back under another connection, after about so many calls.
_CALLS = 40


def main(url: str, clients: int, seconds: float, stalled_seconds: float, expected: dict[str, str]) -> None:
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=_run, args=(url, end, stalled_seconds, expected)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _run(url: str, end: float, stalled_seconds: float, expected: dict[str, str]) -> None:
    while time.monotonic() < end:
        with rf.connect(url) as client, connect(url) as raw:
            rude = Rude(raw, url, stalled_seconds)
            for _ in range(random.randrange(1, 2 * _CALLS)):
                if time.monotonic() > end:
                    return
                if random.random() < _RUDE:
                    _tell(*_rudely(rude))
                else:
                    _tell(*_read(client, expected))


def _read(client: rf.Client, expected: dict[str, str]) -> tuple[str, str, str]:
    name = random.choice(list(READS))
    try:
        return name, "OK" if digest(READS[name](client)) == expected[name] else "DIFFERENT", ""
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and nothing of it is allowed
        return name, type(error).__name__, str(error)[:500]


def _rudely(rude: Rude) -> tuple[str, str, str]:
    name = random.choice(list(OUTCOMES))
    try:
        outcome = str(getattr(rude, name)())
    except Exception as error:  # noqa: BLE001 - as above
        return name, f"raised {type(error).__name__}", str(error)[:500]
    return name, outcome if outcome in OUTCOMES[name] else f"came to {outcome}", ""


def _tell(name: str, outcome: str, words: str) -> None:
    # One write for each line: the process may be killed at any time.
    sys.stdout.write(json.dumps([name, outcome, words]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _, url_, clients_, seconds_, stalled_, expected_ = sys.argv
    main(url_, int(clients_), float(seconds_), float(stalled_), json.loads(expected_))
