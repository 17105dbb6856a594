"""Fill a table: every row and seed, one after the other or on several devices at once."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable

import torch
from rich.console import Console

from lookwider.ablation.measure import Scores, read_scores, train_and_measure
from lookwider.ablation.plan import Job, Plan, check_plan
from lookwider.ablation.processes import STOPPED, Worker
from lookwider.ablation.progress import TableProgress
from lookwider.ablation.result import AblationResult, Outcome
from lookwider.ablation.writing import write_result
from lookwider.errors import ConfigError, LookwiderError
from lookwider.training.hardware import uses_gpu
from lookwider.training.stopping import StoppedError, StopRequest, stop_on_signals

POLL_SECONDS = 0.3
"""Between two looks at the processes."""


class TableStoppedError(Exception):
    """A table was stopped on request; what was trained is kept.

    Attributes:
        signal: the signal's number.
    """

    def __init__(self, number: int, missing: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}, {missing} runs are left")
        self.signal = number


def usual_jobs(plan: Plan) -> int:
    """Return how many runs go at once unless told otherwise: one for each GPU."""
    return max(1, torch.cuda.device_count()) if uses_gpu(plan.jobs[0].config) else 1


def run_table(
    plan: Plan, *, jobs: int | None = None, console: Console | None = None
) -> AblationResult:
    """Train and measure what is missing of a table, and write it after every run.

    Finished runs are recognised by their settings and kept; a run that was stopped goes on. A run
    that fails is noted, and the others go on.

    Args:
        plan: of the table.
        jobs: runs at once, each in a process of its own on a GPU of its own where there are
            GPUs; 1 runs here, one after the other; None is `usual_jobs`.
        console: for progress and messages; standard error when not given.

    Raises:
        ConfigError: the folder holds something else, or runs with other settings.
        DataError: the data set cannot be opened.
        TableStoppedError: SIGINT or SIGTERM came; everything is kept.
    """
    console = console or Console(stderr=True)
    jobs = usual_jobs(plan) if jobs is None else jobs
    if jobs < 1:
        raise ConfigError(f"got --jobs {jobs}, expected at least 1")
    check_plan(plan)
    run = _TableRun(plan, jobs, console)
    write_result(run.result())
    try:
        with run.progress:
            run.one_by_one() if jobs == 1 else run.in_processes()
    except StoppedError as stopped:
        raise TableStoppedError(stopped.signal, run.result().missing) from stopped
    except KeyboardInterrupt as stopped:
        raise TableStoppedError(signal.SIGINT, run.result().missing) from stopped
    return run.result()


class _TableRun:
    """The outcomes so far, and the two ways to the missing ones."""

    def __init__(self, plan: Plan, slots: int, console: Console) -> None:
        self.plan, self.slots, self.console = plan, slots, console
        self.outcomes = {job.name: Outcome(job, self.scores(job)) for job in plan.jobs}
        self.waiting = [job for job in plan.jobs if self.outcomes[job.name].scores is None]
        kept = len(plan.jobs) - len(self.waiting)
        if kept:
            console.print(f"{plan.out}: {kept} of {len(plan.jobs)} runs are finished and kept")
        self.progress = TableProgress(self.waiting, slots, console)

    def result(self) -> AblationResult:
        return AblationResult(self.plan, tuple(self.outcomes.values()))

    def scores(self, job: Job) -> Scores | None:
        return read_scores(job.config.out, self.plan.split, on_scenes=self.plan.on_scenes)

    def note(self, job: Job, error: str | None) -> None:
        """Take up how a run ended, and write the table with it."""
        scores = self.scores(job) if error is None else None
        if scores is None and error is None:
            error = f"left no evaluation in {job.config.out}"
        self.outcomes[job.name] = Outcome(job, scores, error)
        self.progress.ended(self.outcomes[job.name])
        write_result(self.result())

    def start_of(self, job: Job) -> Outcome | None:
        """Return the outcome of the run that a run starts from."""
        label = job.row.starts_from
        if label is None:
            return None
        return next(
            outcome
            for outcome in self.outcomes.values()
            if outcome.job.seed == job.seed and outcome.job.row.label == label
        )

    def take(self, pick: Callable[[Job], bool]) -> Job | None:
        """Return the next run that can begin; those whose start failed are noted as failed."""
        for job in list(self.waiting):
            start = self.start_of(job)
            if start is not None and start.error is not None:
                self.waiting.remove(job)
                self.note(job, f"starts from {start.job.name}, which failed")
            elif (start is None or start.scores is not None) and pick(job):
                self.waiting.remove(job)
                self.progress.started(job)
                return job
        return None

    def one_by_one(self) -> None:
        """Run in this process, each run with its own progress."""
        while (job := self.take(lambda _: True)) is not None:
            self.note(job, run_here(job, self.plan.split, self.console))

    def in_processes(self) -> None:
        """Keep every slot busy with a process of its own."""
        workers: list[Worker] = []
        try:
            with stop_on_signals(self.console) as stop:
                while self.waiting or workers:
                    free = set(range(self.slots)) - {worker.slot for worker in workers}
                    while free and (job := self.take(lambda _: True)) is not None:
                        workers.append(Worker(job, self.plan, free.pop(), self.slots))
                    time.sleep(POLL_SECONDS)
                    self._stop_if_asked(stop, workers)
                    for worker in [w for w in workers if w.child.ended]:
                        workers.remove(worker)
                        self.note(worker.job, worker.child.error())
                    self.progress.tick()
        finally:
            for worker in workers:
                worker.child.kill()

    def _stop_if_asked(self, stop: StopRequest, workers: list[Worker]) -> None:
        """Let every run save its state, note those that had just finished, and stop."""
        if stop.signal is None:
            return
        for worker in workers:
            worker.child.interrupt()
        for worker in workers:
            worker.child.wait()
            if worker.child.code != STOPPED and worker.child.error() is None:
                self.note(worker.job, None)
        workers.clear()
        raise StoppedError(0, stop.signal)


def run_here(job: Job, split: str, console: Console) -> str | None:
    """Train and measure a run in this process; return why it failed, or None.

    Raises:
        StoppedError: SIGINT or SIGTERM came; the state was saved.
    """
    try:
        train_and_measure(job.config, split, console)
    except StoppedError:
        raise
    except LookwiderError as error:
        return str(error)
    except Exception as error:  # one row must not take the others with it
        console.print(traceback.format_exc(), markup=False)
        return f"{type(error).__name__}: {error}"
    return None
