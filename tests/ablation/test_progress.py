import io
from datetime import datetime
from pathlib import Path

from rich.console import Console
from tests.ablation import tiny

from lookwider.ablation.progress import TableProgress
from lookwider.ablation.result import Outcome


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


def test_time_left_of_the_whole_table(tmp_path: Path) -> None:
    jobs = tiny.plan(tmp_path).jobs
    clock = Clock()
    console = Console(file=io.StringIO(), width=200, record=True)
    progress = TableProgress(
        jobs, 1, console, clock=clock, now=lambda: datetime(2026, 1, 2, 23, 50)
    )
    progress.started(jobs[0])
    assert progress.left() == ""
    clock.time = 60.0
    progress.ended(Outcome(jobs[0], tiny.scores(0.5)))
    assert progress.seconds_left() == 5 * 60  # all as the first
    progress.started(jobs[1])
    clock.time = 180.0
    progress.ended(Outcome(jobs[1], tiny.scores(0.5)))
    # coarse as before, fine as before, plain twice as the mean of both
    assert progress.seconds_left() == 60 + 120 + 2 * 90
    progress.started(jobs[2])
    clock.time = 200.0
    assert progress.seconds_left() == 60 + 120 + 2 * 90 - 20
    progress.ended(Outcome(jobs[2], None, "no luck"))
    assert progress.seconds_left() == 60 + 120 + 90  # a failed run says nothing of the time
    said = console.export_text()
    assert "run 3 of 6: plain, seed 0; about 6 min left, until 23:56" in said
    assert "coarse, seed 0: mean IoU 50.0, 1 min" in said
    assert "failed: plain, seed 0: no luck" in said


def test_several_at_once_take_less_time_but_not_less_than_the_longest(tmp_path: Path) -> None:
    jobs = tiny.plan(tmp_path, seeds=1).jobs
    clock = Clock()
    with TableProgress(jobs, 2, Console(file=io.StringIO()), clock=clock) as progress:
        progress.started(jobs[0])
        clock.time = 30.0
        progress.ended(Outcome(jobs[0], tiny.scores(0.5)))
        assert progress.seconds_left() == 30.0
        progress.started(jobs[1])
        clock.time = 50.0
        assert progress.seconds_left() == 30.0  # the one that has not begun
        progress.started(jobs[2])
        progress.ended(Outcome(jobs[1], None, "no luck"))
        progress.ended(Outcome(jobs[2], tiny.scores(0.5)))
        assert progress.seconds_left() == 0.0
        assert progress.bar.tasks[0].completed == 3


def test_a_day_is_named_where_it_takes_long(tmp_path: Path) -> None:
    jobs = tiny.plan(tmp_path, seeds=1).jobs
    clock = Clock()
    progress = TableProgress(
        jobs, 1, Console(file=io.StringIO()), clock=clock, now=lambda: datetime(2026, 1, 2, 12, 0)
    )
    progress.started(jobs[0])
    clock.time = 10 * 3600.0
    progress.ended(Outcome(jobs[0], tiny.scores(0.5)))
    assert progress.left() == "about 20 h 00 min left, until Sat 08:00"
