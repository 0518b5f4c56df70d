"""The soak itself: a server, processes of clients that are killed at random, and what must hold afterwards."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

import rasterflight as rf
from soak.reads import OUTCOMES, READS, digest
from support.oracle import layers, whole
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats, wait_for

TESTS = Path(__file__).resolve().parents[1]
BUNDLED = {"ny": "landsat8-ny-cog", "naip": "naip-nd-4709963"}
HEIGHT, WIDTH = 32_768, 1024
STALLED_SECONDS = 2.0
CACHE = 32 << 20
MIB = 1 << 20
OPTIONS = [
    f"--set=limits.stalled_seconds={STALLED_SECONDS}",
    "--set=limits.streams=48",
    "--set=limits.queue_seconds=60",
]


@dataclass
class Level:
    """What a server takes at one moment."""

    seconds: float
    rss: int
    threads: int
    files: int
    cache: int
    streams: int


@dataclass
class Findings:
    """What came of a soak."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    words: dict[tuple[str, str], str] = field(default_factory=dict)
    killed: int = 0
    #: While clients were at work, a few a second.
    busy: list[Level] = field(default_factory=list)
    #: Before the first of them, and after the last.
    idle: list[Level] = field(default_factory=list)
    log: str = ""

    def complaints(self) -> list[str]:
        """What should not be."""
        fine = {(name, "OK") for name in READS} | {(name, one) for name, ones in OUTCOMES.items() for one in ones}
        found = [
            f"{name}: {outcome} x {count}: {self.words[name, outcome]}"
            for (name, outcome), count in self.outcomes.items()
            if (name, outcome) not in fine
        ]
        found += [f"no {name}" for name in (*READS, *OUTCOMES) if not any(key[0] == name for key in self.outcomes)]
        found += [f"the log has {word}" for word in ("Traceback", "INTERNAL") if word in self.log]
        if (most := max(level.cache for level in self.busy)) > CACHE:
            found.append(f"the cache had {most} bytes, more than {CACHE}")
        half = self.busy[len(self.busy) // 2 :]
        earlier, later = half[: len(half) // 2], half[len(half) // 2 :]
        for what, slack in (("rss", 48 * MIB), ("threads", 16), ("files", 24)):
            one, two = (median(getattr(level, what) for level in part) for part in (earlier, later))
            if two > one * 1.1 + slack:
                found.append(f"{what} grew from {one} to {two} while clients were at work")
        before, after = self.idle
        if after.streams:
            found.append(f"{after.streams} streams were left")
        if after.files > before.files + 24:
            found.append(f"{after.files} files were open afterwards, {before.files} before")
        return found

    def report(self) -> str:
        """For people."""
        names = list(dict.fromkeys(name for name, _ in sorted(self.outcomes)))
        lines = [f"{sum(self.outcomes.values())} calls, {self.killed} processes of clients killed"]
        lines += [
            f"  {name:10} "
            + ", ".join(f"{one} {count}" for (of, one), count in sorted(self.outcomes.items()) if of == name)
            for name in names
        ]
        moments = {
            "idle": self.idle[0],
            "start": self.busy[len(self.busy) // 20],
            "middle": self.busy[len(self.busy) // 2],
        }
        moments |= {"end": self.busy[-1], "idle again": self.idle[1]}
        lines += [
            f"  {name:10} {level.seconds:5.0f} s  rss {level.rss / MIB:5.0f} MiB  threads {level.threads:3}"
            f"  files {level.files:3}  cache {level.cache / MIB:4.1f} MiB  streams {level.streams}"
            for name, level in moments.items()
        ]
        return "\n".join(lines)


def soak(folder: Path, *, seconds: float, processes: int, clients: int, kill_every: float) -> Findings:
    """Run ``processes`` x ``clients`` clients for a time; gives what came of it."""
    indexes = _indexes(folder)
    findings = Findings()
    began = time.monotonic()
    with ServerProcess(indexes, cache_size=str(CACHE), options=OPTIONS) as server:
        with rf.connect(server.url) as client:
            compare(client)
            expected = {name: digest(read(client)) for name, read in READS.items()}
        findings.idle.append(_level(server, began))
        crowd = _Crowd(folder, server.url, clients, began + seconds, expected, findings)
        for _ in range(processes):
            crowd.start()
        next_kill = time.monotonic() + kill_every
        while time.monotonic() < began + seconds:
            time.sleep(0.5)
            findings.busy.append(_level(server, began))
            if time.monotonic() > next_kill:
                crowd.kill_one()
                crowd.start()
                next_kill += random.uniform(0.5, 1.5) * kill_every
        crowd.wait()
        wait_for(lambda: stats(server.url)["streams"] == 0, 4 * STALLED_SECONDS)
        findings.idle.append(_level(server, began))
        with rf.connect(server.url) as client:
            compare(client)
        findings.log = server.log
    return findings


def compare(client: rf.Client) -> None:
    """Hold some reads against rasterio."""
    col, row, width, height = 3, 5, 40, 30
    for name, bundled in BUNDLED.items():
        found = client.collection(name).get_numpy(windows=[(col, row, width, height)], bands=["red"])
        made = [whole(layer).pixels for layer in layers(TESTS / "data" / bundled) if layer.band == "red"]
        assert np.array_equal(found, [pixels[row : row + height, col : col + width] for pixels in made]), name
    found = client.collection("tall").get_numpy(windows=[(100, 5000, 300, 200)], bands=["B1"])
    assert np.array_equal(found[0], _tall()[5000:5200, 100:400])


class _Crowd:
    def __init__(
        self, folder: Path, url: str, clients: int, end: float, expected: Mapping[str, str], findings: Findings
    ) -> None:
        self._folder = folder
        self._arguments = [url, str(clients)]
        self._expected = json.dumps(expected)
        self._end = end
        self._findings = findings
        self._running: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._started = 0

    def start(self) -> None:
        self._started += 1
        told = self._folder / f"client-{self._started}.jsonl"
        seconds = max(0.0, self._end - time.monotonic())
        command = [
            sys.executable,
            str(TESTS / "soak" / "client.py"),
            *self._arguments,
            str(seconds),
            str(STALLED_SECONDS),
        ]
        with told.open("wb") as out:
            self._running.append((subprocess.Popen([*command, self._expected], stdout=out), told))

    def kill_one(self) -> None:
        self._findings.killed += 1
        process, told = self._running.pop(random.randrange(len(self._running)))
        process.kill()
        process.wait()
        self._take(told)

    def wait(self) -> None:
        for process, told in self._running:
            if process.wait(60):
                self._findings.outcomes["client", "failed"] += 1
                self._findings.words["client", "failed"] = f"a process of clients ended with {process.returncode}"
            self._take(told)
        self._running.clear()

    def _take(self, told: Path) -> None:
        for line in told.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                name, outcome, words = json.loads(line)
                self._findings.outcomes[name, outcome] += 1
                self._findings.words[name, outcome] = words
        told.unlink()


def _indexes(folder: Path) -> dict[str, Path]:
    sources = {name: TESTS / "data" / path / "items.json" for name, path in BUNDLED.items()}
    write_scene(folder / "tall.tif", _tall(), tile=128)
    sources["tall"] = write_items(folder / "items.json", {f"r{number}": {"B1": "tall.tif"} for number in range(2)})
    for name, source in sources.items():
        done = run_server_command("index", source, "--out", folder / name, "--name", name)
        assert done.returncode == 0, done.stderr
    return {name: folder / name for name in sources}


def _tall() -> Any:
    return noise(HEIGHT, WIDTH) // 4096


def _level(server: ServerProcess, began: float) -> Level:
    process = psutil.Process(server.process.pid)
    counted = stats(server.url)
    return Level(
        time.monotonic() - began,
        int(process.memory_info().rss),
        process.num_threads(),
        process.num_fds(),
        counted["cache_bytes"],
        counted["streams"],
    )
