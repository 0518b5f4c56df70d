"""``make fuzz``: 100,000 changed calls in process and 5,000 through a server; prints what came of them, keeps what went wrong."""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).resolve().parents[1]
sys.path[0] = str(TESTS)

from fuzz.cases import Case, case  # noqa: E402
from fuzz.judge import Bug  # noqa: E402
from fuzz.wire import Wire  # noqa: E402
from support.server import ServerProcess, run_server_command  # noqa: E402

#: A case that takes longer hangs.
PATIENCE = 60.0
MIB = 1 << 20


class Findings:
    """Cases that went wrong, each written to a file."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.count = 0

    def add(self, number: int, found: Case, what: str) -> None:
        self.count += 1
        self._out.mkdir(parents=True, exist_ok=True)
        text = found.to_json()
        path = self._out / f"{found.rpc}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
        path.write_text(text)
        print(f"{number}: {what[:600]}\n  {path}", flush=True)


class Worker:
    """A process that answers its part of the cases, and is started again behind the one that it does not survive."""

    def __init__(self, index: Path, seed: int, part: int, parts: int, end: int, folder: Path) -> None:
        self._index = index
        self._seed = seed
        self._parts = parts
        self._end = end
        self._at = folder / f"at-{part}"
        self._out = folder / f"out-{part}"
        self._start(part)

    def _start(self, first: int) -> None:
        self._at.write_text(str(first))
        numbers = map(str, (self._seed, first, self._parts, self._end))
        command = [sys.executable, str(TESTS / "fuzz" / "worker.py"), str(self._index), *numbers, str(self._at)]
        with self._out.open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out)
        self._seen, self._since = "", time.monotonic()

    def look(self, findings: Findings) -> bool:
        """Whether it still runs."""
        status, at = self._process.poll(), self._at.read_text()
        if status == 0:
            return False
        if at != self._seen:
            self._seen, self._since = at, time.monotonic()
        hangs = time.monotonic() - self._since > PATIENCE
        if status is not None or hangs:
            number = int(at)
            self._process.kill()
            self._process.wait()
            what = f"more than {PATIENCE:g} s" if hangs else f"the process ended with {status}"
            findings.add(number, case(self._seed, number), what)
            self._start(number + self._parts)
        return True

    def told(self) -> list[dict]:
        """What it said."""
        return [json.loads(line) for line in self._out.read_text().splitlines()]


def in_process(index: Path, seed: int, cases: int, processes: int, findings: Findings) -> None:
    began = time.monotonic()
    with TemporaryDirectory(prefix="rf-fuzz-") as folder:
        workers = [Worker(index, seed, part, processes, cases, Path(folder)) for part in range(processes)]
        running = workers
        while running:
            running = [worker for worker in running if worker.look(findings)]
            time.sleep(0.5)
        codes: Counter[str] = Counter()
        for line in (line for worker in workers for line in worker.told()):
            if "bug" in line:
                findings.add(line["number"], case(seed, line["number"]), line["bug"])
            else:
                codes.update(line["codes"])
                levels = ", ".join(
                    f"{line[at][0] / MIB:.0f} MiB {line[at][1]} threads {line[at][2]} files" for at in ("warm", "done")
                )
                print(f"a process after a fifth, and at the end: {levels}; at most {line['peak'] / MIB:.0f} MiB")
    print(f"in process: {cases} cases, {time.monotonic() - began:.0f} s: {_told(codes)}", flush=True)


def through_a_server(index: Path, seed: int, cases: int, findings: Findings) -> None:
    began = time.monotonic()
    codes: Counter[str] = Counter()
    with ServerProcess({"ny": index}) as server:
        wire = Wire(server.url)
        warm = [server.rss(), server.threads()]
        # Others than in process.
        for number in range(-cases, 0):
            try:
                codes[wire(case(seed, number))] += 1
            except Bug as bug:
                findings.add(number, case(seed, number), str(bug))
            if server.process.poll() is not None:
                findings.add(
                    number,
                    case(seed, number),
                    f"the server ended with {server.process.returncode}: {server.log[-2000:]}",
                )
                break
            if number == -cases * 4 // 5:
                warm = [server.rss(), server.threads()]
        else:
            done = [server.rss(), server.threads()]
            print(
                f"the server after a fifth {warm[0] / MIB:.0f} MiB {warm[1]} threads, at the end {done[0] / MIB:.0f} MiB {done[1]} threads"
            )
        if "Traceback" in server.log:
            findings.count += 1
            print(server.log[-5000:])
        wire.close()
    print(f"through a server: {cases} cases, {time.monotonic() - began:.0f} s: {_told(codes)}", flush=True)


def _told(codes: Counter[str]) -> str:
    return ", ".join(f"{code} {count}" for code, count in codes.most_common())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--server-cases", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument(
        "--out", type=Path, default=TESTS.parent / "out" / "fuzz", help="where cases go that went wrong"
    )
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    findings = Findings(options.out)
    with TemporaryDirectory(prefix="rf-fuzz-") as folder:
        index = Path(folder, "ny")
        done = run_server_command(
            "index", TESTS / "data" / "landsat8-ny-cog" / "items.json", "--out", index, "--name", "ny"
        )
        assert done.returncode == 0, done.stderr
        in_process(index, options.seed, options.cases, options.processes, findings)
        through_a_server(index, options.seed, options.server_cases, findings)
    print(f"{findings.count} went wrong")
    return int(findings.count > 0)


if __name__ == "__main__":
    sys.exit(main())
