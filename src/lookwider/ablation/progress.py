"""How far a whole table is, and when it will be done."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lookwider.ablation.plan import Job
from lookwider.ablation.result import Outcome
from lookwider.training.progress import duration


class TableProgress:
    """Tells when runs begin and end, with the time left for the whole table.

    A run is expected to take as long as the earlier ones of its row did, or else as the mean of
    all earlier ones. Several runs at once have a bar on a terminal; a single one has its own.

    Args:
        jobs: that are to be run, without those that were finished before.
        slots: how many run at once.
        console: where it is told.
        clock: seconds that pass.
        now: the time of the day.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        slots: int,
        console: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.console, self.clock, self.now = console, clock, now
        self.slots = slots
        self.waiting = list(jobs)
        self.total = len(jobs)
        self.running: dict[str, tuple[Job, float]] = {}
        self.took: dict[str, list[float]] = {}
        self.bar = Progress(
            TextColumn("runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=slots == 1 or not console.is_terminal,
        )
        self.task = self.bar.add_task("runs", total=self.total, left="")

    def __enter__(self) -> TableProgress:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def started(self, job: Job) -> None:
        """Tell that a run begins."""
        number = self.total - len(self.waiting) + 1
        self.waiting.remove(job)
        self.running[job.name] = (job, self.clock())
        left = self.left()
        text = f"run {number} of {self.total}: {job.name}" + (left and f"; {left}")
        self.console.print(f"[bold]{escape(text)}[/]")

    def ended(self, outcome: Outcome) -> None:
        """Tell how a run ended, or that it cannot begin."""
        job = outcome.job
        if job in self.waiting:
            self.waiting.remove(job)
        _, begun = self.running.pop(job.name, (job, self.clock()))
        if outcome.scores is None:
            self.console.print(f"[bold red]failed:[/] {escape(f'{job.name}: {outcome.error}')}")
        else:
            seconds = self.clock() - begun
            self.took.setdefault(job.row.label, []).append(seconds)
            score = 100 * outcome.scores.metrics["mean_iou"]
            self.console.print(f"{escape(job.name)}: mean IoU {score:.1f}, {duration(seconds)}")
        self.tick()

    def tick(self) -> None:
        """Draw the bar anew."""
        done = self.total - len(self.waiting) - len(self.running)
        self.bar.update(self.task, completed=done, left=self.left())

    def left(self) -> str:
        """Return the time left and the hour of the end in words; empty while it is not known.

        Example:
            >>> TableProgress([], 1, Console()).left()
            ''
        """
        seconds = self.seconds_left()
        if seconds is None:
            return ""
        end = self.now() + timedelta(seconds=seconds)
        form = "%H:%M" if seconds < 12 * 3600 else "%a %H:%M"
        return f"about {duration(seconds)} left, until {end.strftime(form)}"

    def seconds_left(self) -> float | None:
        """Return how long the rest will take; None before the first run has ended well."""
        if not self.took:
            return None
        usual = statistics.fmean(seconds for row in self.took.values() for seconds in row)

        def expected(job: Job) -> float:
            return statistics.fmean(self.took.get(job.row.label, [usual]))

        now = self.clock()
        rest = [max(0.0, expected(job) - (now - begun)) for job, begun in self.running.values()]
        rest += [expected(job) for job in self.waiting]
        return max([sum(rest) / self.slots, *rest]) if rest else 0.0
