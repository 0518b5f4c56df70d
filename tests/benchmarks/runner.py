"""Runs of the readers, in turn: a fresh process for each, so that the first read of each is cold."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.readers import PEERS, READERS

#: A run as JSON; ``missing`` or ``error`` say why there are no numbers.
Row = dict[str, Any]
#: Whose result all others have to equal: that of the first of these that took part.
ORACLES = ("rasterio", "floor")
#: What only a service has, see ``benchmarks.service``.
CHECKS = ("first-batch", "two-clients", "plan")
_TIMEOUT = 300


@dataclass
class Runner:
    """Starts readers as processes.

    Parameters
    ----------
    data, out
        Folders of the scenes, and of indexes.
    roots
        Transport to what readers know the folder of the scenes as.
    peers_python
        Interpreter that has the libraries of others; None: this one.
    calls
        Reads of each process.
    """

    data: Path
    out: Path
    roots: dict[str, str]
    peers_python: str | None = None
    calls: int = 3
    say: Callable[[str], None] = print
    #: Readers that cannot be run, and why.
    missing: dict[str, str] = field(default_factory=dict)

    def build(self, readers: Sequence[str]) -> list[str]:
        """Build the indexes of those that have one; returns the readers that are installed."""
        for reader in readers:
            for transport in self.roots:
                row = self._run(reader, transport)
                if why := row.get("missing") or row.get("error"):
                    self.missing[reader] = why
                    self.say(f"{reader} is left out: {why}")
                    break
        return [reader for reader in readers if reader not in self.missing]

    def rows(self, scenarios: Sequence[str], readers: Sequence[str], repeats: int) -> Iterator[Row]:
        """Run every reader on every scenario and transport, then all again."""
        for repeat in range(repeats):
            for scenario in scenarios:
                for transport in self.roots:
                    for reader in readers:
                        row = self._run(reader, transport, scenario)
                        row |= {"scenario": scenario, "transport": transport, "reader": reader, "repeat": repeat}
                        self.say(_brief(row))
                        yield row

    def check(self, name: str, records: int) -> Row:
        """Measure what only a service has; the index of rasterflight for local files has been built."""
        row = _call(
            sys.executable, "benchmarks.service", name, "--data", self.data, "--out", self.out, "--records", records
        )
        return {"check": name, **row}

    def _run(self, reader: str, transport: str, scenario: str | None = None) -> Row:
        python = self.peers_python if reader in PEERS and self.peers_python else sys.executable
        places = ("--data", self.data, "--root", self.roots[transport], "--out", self.out)
        what = [reader, scenario] if scenario else [reader]
        return _call(python, "benchmarks.worker", *what, *places, "--calls", self.calls)


def _call(python: str, module: str, *arguments: object) -> Row:
    """Run a module that prints a line of JSON."""
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, *filter(None, [os.getenv("PYTHONPATH")])])}
    command = [python, "-m", module, *map(str, arguments)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {_TIMEOUT} s"}
    if done.returncode < 0:
        return {"error": f"killed by signal {-done.returncode}"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:300]}
    return json.loads(done.stdout.splitlines()[-1])


def judge(rows: Sequence[Row]) -> list[str]:
    """Mark each row as ``equal`` to the oracle or not; returns what differs, in words."""
    truths = {
        (row["scenario"], row["transport"]): (oracle, row["digest"])
        for oracle in reversed(ORACLES)
        for row in rows
        if row["reader"] == oracle and "digest" in row
    }
    differences = {}
    for row in rows:
        if "digest" in row:
            oracle, truth = truths.get((row["scenario"], row["transport"]), (None, None))
            row["equal"] = None if truth is None else row["digest"] == truth
            if row["equal"] is False:
                where = f"{row['reader']} on {row['scenario']}, {row['transport']}"
                differences[where] = f"{where}: the result is not that of {oracle}"
    return list(differences.values())


def _brief(row: Row) -> str:
    where = f"{row['scenario']:4}{row['transport']:7}{row['reader']:14}"
    if "seconds" not in row:
        return where + (row.get("missing") or row["error"])
    seconds = " ".join(f"{second:7.3f}" for second in row["seconds"])
    return f"{where}{seconds} s   cpu {row['cpu'][0]:.2f} s   {row['digest']}"


def versions(rows: Sequence[Row]) -> dict[str, str]:
    """Reader to the version of the distribution that stands for it."""
    return {READERS[row["reader"]]: row["version"] for row in rows if "version" in row}
