"""One reader on one scenario, as a process of its own: prepare, read, read again; prints one line of JSON.

The first read is cold: of this process, and of the server that it started if it did. Caches of the operating system are warm.
"""

import argparse
import hashlib
import json
import resource
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fileserver import Counts, counts
from benchmarks.readers import READERS, NotOffered, index_folder, load
from benchmarks.scenarios import make_work
from benchmarks.scenes import read_items


def measure(reader: str, scenario: str, data: Path, root: str, out: Path, calls: int) -> dict[str, Any]:
    """What a reader needs for a scenario, and the digest of what it read."""
    work = make_work(scenario, data, root)
    module = load(reader)
    prepared = module.prepare(work, index_folder(out, reader, root))
    started = _asked(work.remote, root)
    seconds, cpu, digests = [], [], set()
    asked: list[Counts] = []
    rss = server_rss = 0
    try:
        for _ in range(calls):
            cpu_before = _cpu(prepared.helpers)
            before = time.perf_counter()
            found = prepared.read()
            seconds.append(time.perf_counter() - before)
            cpu.append(_cpu(prepared.helpers) - cpu_before)
            now = _asked(work.remote, root)
            asked.append(now - started)
            started = now
            rss = rss or _peak()  # later it counts the digests as well
            server_rss = sum(_peak(helper.pid) for helper in prepared.helpers)
            digests.add(digest(prepared.canonical(found)))
            del found
    finally:
        prepared.close()
    return {
        "version": version(READERS[reader]),
        "seconds": seconds,
        "cpu": cpu,
        "requests": [count.requests for count in asked],
        "bytes": [count.bytes for count in asked],
        "rss": rss,
        "server_rss": server_rss,
        "digest": "+".join(sorted(digests)),
    }


def digest(result: np.ndarray | Sequence[np.ndarray]) -> str:
    """A digest of shapes and pixels."""
    made = hashlib.sha256()
    for pixels in [result] if isinstance(result, np.ndarray) else result:
        made.update(repr(pixels.shape).encode())
        made.update(np.ascontiguousarray(pixels, np.uint16))
    return made.hexdigest()[:12]


def _cpu(helpers: Sequence[Any]) -> float:
    return time.process_time() + sum(sum(helper.cpu_times()[:2]) for helper in helpers)


def _asked(remote: bool, root: str) -> Counts:
    return counts(root.rstrip("/")) if remote else Counts()


def _peak(pid: int | None = None) -> int:
    """Peak of the resident memory of a process in bytes, so far."""
    if pid is None:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024


def _build(reader: str, data: Path, root: str, out: Path) -> dict[str, Any]:
    module = load(reader)
    if hasattr(module, "build"):
        module.build(list(read_items(data, root)), index_folder(out, reader, root))
    return {"version": version(READERS[reader])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("scenario", nargs="?", help="none: build the index of the reader, if it has one")
    parser.add_argument("--data", type=Path, required=True, help="folder of the scenes")
    parser.add_argument("--root", required=True, help="what the reader knows this folder as")
    parser.add_argument("--out", type=Path, required=True, help="folder for indexes")
    parser.add_argument("--calls", type=int, default=3)
    options = parser.parse_args()
    place = (options.data, options.root, options.out)
    try:
        if options.scenario:
            row = measure(options.reader, options.scenario, *place, options.calls)
        else:
            row = _build(options.reader, *place)
    except ImportError as error:
        row = {"missing": str(error)}
    except NotOffered:
        row = {"missing": "no such call"}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
