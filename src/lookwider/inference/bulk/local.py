"""A bulk job on this machine: processes with the model loaded, kept busy and kept alive."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console

from lookwider.errors import LookwiderError
from lookwider.inference.bulk.attempts import Attempts
from lookwider.inference.bulk.job import Job, Task
from lookwider.inference.bulk.orders import END, READY
from lookwider.inference.bulk.pipeline import AHEAD, BEHIND
from lookwider.inference.bulk.places import attempts_folder
from lookwider.inference.bulk.records import Record
from lookwider.inference.device import choose_device
from lookwider.processes import Child, environment

WORKER = (sys.executable, "-m", "lookwider.inference.bulk.worker")
"""What is run."""

MOST_OPEN = AHEAD + BEHIND
"""Tasks that a worker holds at most."""

MOST_STARTS = 5
"""So many workers in a row may end before one is ready."""

Event = tuple["_Worker", Any]
"""A worker, and an answer of it; None at its end."""


class _Worker:
    """A process, the tasks it holds, and a thread that hears it."""

    def __init__(self, job: Job, slot: int, slots: int, events: queue.SimpleQueue[Event]) -> None:
        self.slot, self.ready = slot, False
        self.open: dict[int, Task] = {}
        gpu = choose_device(job.device).type == "cuda" and ":" not in job.device
        log = job.folder / "logs" / f"worker{slot}.log"
        self.child = Child(WORKER, log, environment(slot, slots, gpu=gpu), answers=True)
        self.send(job.to_json())
        threading.Thread(target=self._hear, args=(events,), daemon=True).start()

    def give(self, task: Task) -> None:
        self.open[task.number] = task
        self.send(task.to_json())

    def send(self, order: object) -> None:
        with suppress(BrokenPipeError):  # its end is among the events
            self.child.send(order)

    def _hear(self, events: queue.SimpleQueue[Event]) -> None:
        assert self.child.answers is not None
        for line in self.child.answers:
            if line.endswith(b"\n"):  # else it was killed while it wrote
                events.put((self, json.loads(line)))
        self.child.answers.close()
        events.put((self, None))


class LocalWorkers:
    """Processes on this machine, each with its share of the cores or a GPU.

    Args:
        job: what is done.
        workers: how many.
        console: where it is said that a worker was lost.
    """

    def __init__(self, job: Job, workers: int, console: Console) -> None:
        self.job, self.slots, self.console = job, workers, console
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.workers: list[_Worker] = []
        self.failed_starts = 0

    def segment(self, tasks: Sequence[Task]) -> Generator[list[Record]]:
        """Yield the records of each task as it is done; what a lost worker held is done again.

        Raises:
            LookwiderError: the job cannot go on, such as for a full disk.
        """
        waiting = deque(tasks)
        self.events, self.failed_starts = queue.SimpleQueue(), 0  # of these workers alone
        try:
            self.workers = [self._start(slot) for slot in range(min(self.slots, len(waiting)))]
            while waiting or any(worker.open for worker in self.workers):
                worker, answer = self.events.get()
                if answer is None:
                    waiting.extendleft(self._replace(worker))
                elif answer == READY:
                    worker.ready, self.failed_starts = True, 0
                else:
                    number, records = answer
                    del worker.open[number]
                    yield [Record(**record) for record in records]
                self._give(waiting)
            for worker in self.workers:
                worker.send(END)
        finally:
            for worker in self.workers:
                worker.child.kill()
            Attempts(attempts_folder(self.job.folder)).forgive()

    def _start(self, slot: int) -> _Worker:
        return _Worker(self.job, slot, self.slots, self.events)

    def _give(self, waiting: deque[Task]) -> None:
        """Fill up the workers, one task each in turn."""
        for given in range(MOST_OPEN):
            for worker in self.workers:
                if waiting and worker.ready and len(worker.open) <= given:
                    worker.give(waiting.popleft())

    def _replace(self, worker: _Worker) -> list[Task]:
        """Start another worker for one that ended; return what that one held.

        Raises:
            LookwiderError: it said that it cannot go on, or none gets ready.
        """
        worker.child.wait()
        said = worker.child.error()
        if worker.child.code is not None and worker.child.code >= 0:
            raise LookwiderError(said or "a worker ended before its job")
        self.failed_starts += not worker.ready
        if self.failed_starts >= MOST_STARTS:
            raise LookwiderError(
                f"{MOST_STARTS} workers in a row ended before they were ready: {said}; is the "
                "memory enough for fewer --workers?"
            )
        self.console.print(
            f"worker {worker.slot}: {said}; begun again", markup=False, soft_wrap=True
        )
        self.workers[self.workers.index(worker)] = self._start(worker.slot)
        return list(worker.open.values())
