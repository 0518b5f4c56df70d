"""Threads that serve many owners in turn, so that a small read passes a large one."""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Protocol

_log = logging.getLogger("rasterflight_server")


class Job(Protocol):
    """Something that a thread does."""

    def run(self) -> None:
        """Do it; every outcome is told to whoever waits for it, nothing is raised."""

    def drop(self) -> None:
        """Called instead of ``run`` when its owner has given up."""

    def stop(self) -> None:
        """Called while it runs, or just afterwards, when its owner has given up: no need to go on."""


class FairPool:
    """Threads with a queue for each owner of jobs; they take a job of one owner after the other.

    Parameters
    ----------
    size
        Threads at the most; they are started when there is work for them.
    name
        What they are called.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._wake = threading.Condition()
        self._queues: OrderedDict[object, deque[Job]] = OrderedDict()
        self._running: dict[Job, object] = {}
        self._queued = 0
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, owner: object, jobs: Sequence[Job]) -> None:
        """Queue jobs of an owner; after ``close`` they are dropped."""
        with self._wake:
            dropped = self._closed
            if jobs and not dropped:
                self._queues.setdefault(owner, deque()).extend(jobs)
                self._queued += len(jobs)
                self._wake.notify(len(jobs))
                # Threads that were woken for other jobs still count as idle, and these jobs as queued.
                for _ in range(min(self._queued - self._idle, self._size - self._threads)):
                    self._threads += 1
                    threading.Thread(target=self._work, name=self._name, daemon=True).start()
        if dropped:
            for job in jobs:
                job.drop()

    def drop(self, owner: object) -> None:
        """Drop the jobs of an owner that have not begun, and stop those that have."""
        with self._wake:
            jobs = self._queues.pop(owner, ())
            self._queued -= len(jobs)
            running = [job for job, of in self._running.items() if of is owner]
            # An owner who has gone is not kept by what cannot be stopped at once.
            self._running.update(dict.fromkeys(running))
        for job in running:
            job.stop()
        for job in jobs:
            job.drop()

    def close(self) -> None:
        """Begin no more jobs, and let the threads end."""
        with self._wake:
            self._closed = True
            owners = list(self._queues)
            self._wake.notify_all()
        for owner in owners:
            self.drop(owner)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.run()
            except BaseException:  # noqa: BLE001 - a bug; the thread is needed for others
                _log.exception("a job has failed without a word to whoever waits for it")
            with self._wake:
                del self._running[job]
            del job  # an idle thread must not hold on to what it did

    def _next(self) -> Job | None:
        with self._wake:
            while not self._queues:
                if self._closed:
                    self._threads -= 1
                    return None
                self._idle += 1
                self._wake.wait()
                self._idle -= 1
            owner, jobs = next(iter(self._queues.items()))
            job = jobs.popleft()
            self._queued -= 1
            if jobs:
                self._queues.move_to_end(owner)
            else:
                del self._queues[owner]
            self._running[job] = owner
            return job
