import io
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from tests.ablation import tiny

from lookwider.ablation import plan, processes, runner, writing
from lookwider.ablation.plan import Plan
from lookwider.ablation.result import AblationResult
from lookwider.ablation.runner import TableStoppedError, run_table
from lookwider.errors import ConfigError
from lookwider.training.stopping import StoppedError

SCRIPT = """
import json, pathlib, signal, sys, time
order = json.loads(sys.stdin.readline())
out = pathlib.Path(order["config"]["out"])
out.mkdir(parents=True, exist_ok=True)
row = out.parent.name
if row == "coarse":
    (out / "begun").write_text(str(time.monotonic()))
if row == "plain":
    print("error: no luck")
    sys.exit(2)
if (out.parents[1] / "slow").exists():
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        (out / "saved").write_text("")
        sys.exit(130)
(out / "scores.json").write_text("0.5")
"""
"""A worker that trains nothing."""


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> tiny.Trainer:
    made = tiny.Trainer()
    monkeypatch.setattr(runner, "train_and_measure", made.train_and_measure)
    monkeypatch.setattr(runner, "read_scores", made.read_scores)
    monkeypatch.setattr(plan, "check_models", lambda plan: None)  # tested by its own
    monkeypatch.setattr(writing, "plot", lambda result: b"drawn")  # takes half a second
    return made


@pytest.fixture
def workers(trainer: tiny.Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "WORKER", (sys.executable, "-c", SCRIPT))
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.02)


def run(planned: Plan, jobs: int | None = None) -> tuple[AblationResult, str]:
    console = Console(file=io.StringIO(), width=200, record=True)
    return run_table(planned, jobs=jobs, console=console), console.export_text()


ALL = ["coarse 0", "fine 0", "plain 0", "coarse 1", "fine 1", "plain 1"]


def test_every_row_is_trained_with_every_seed_once(trainer: tiny.Trainer, tmp_path: Path) -> None:
    result, said = run(tiny.plan(tmp_path / "out"))
    assert trainer.trained == ALL
    assert result.metric(result.plan.table.rows[0], "mean_iou").values == (0.5, 0.6)
    assert not result.failed
    assert result.missing == 0
    assert "run 1 of 6: coarse, seed 0\n" in said
    assert "run 6 of 6: plain, seed 1; about 0 s left, until " in said
    assert "fine, seed 1: mean IoU 60.0" in said
    written = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert written["rows"][1]["mean_iou"]["values"] == [0.5, 0.6]
    assert (tmp_path / "out" / "ablation.png").read_bytes() == b"drawn"


def test_finished_runs_are_kept_and_more_seeds_are_added(
    trainer: tiny.Trainer, tmp_path: Path
) -> None:
    run(tiny.plan(tmp_path, seeds=1))
    trainer.trained.clear()
    result, said = run(tiny.plan(tmp_path, seeds=2))
    assert trainer.trained == ALL[3:]
    assert "3 of 6 runs are finished and kept" in said
    assert result.missing == 0


def test_other_settings_are_refused_before_anything_is_trained(
    trainer: tiny.Trainer, tmp_path: Path
) -> None:
    run(tiny.plan(tmp_path, seeds=1))
    trainer.trained.clear()
    with pytest.raises(ConfigError, match=r"other settings \(steps: 2 -> 3\)"):
        run(tiny.plan(tmp_path, seeds=1, steps="3"))
    assert not trainer.trained


@pytest.mark.parametrize("error", [tiny.BROKEN, RuntimeError("CUDA out of memory")])
def test_a_row_that_fails_does_not_stop_the_others(
    error: Exception, trainer: tiny.Trainer, tmp_path: Path
) -> None:
    trainer.fail["coarse 0"] = error
    result, said = run(tiny.plan(tmp_path))
    assert trainer.trained == ["coarse 0", "plain 0", "coarse 1", "fine 1", "plain 1"]
    assert [o.job.name for o in result.failed] == ["coarse, seed 0", "fine, seed 0"]
    assert f"failed: coarse, seed 0: {error}" in said.replace("RuntimeError: ", "")
    assert "failed: fine, seed 0: starts from coarse, seed 0, which failed" in said
    assert ("Traceback" in said) == isinstance(error, RuntimeError)
    assert str(error) in (tmp_path / "ablation.md").read_text()
    trainer.fail.clear()
    trainer.trained.clear()
    again, _ = run(tiny.plan(tmp_path))
    assert trainer.trained == ["coarse 0", "fine 0"]
    assert not again.failed


@pytest.mark.parametrize(
    ("stop", "number"), [(StoppedError(3, signal.SIGTERM), 15), (KeyboardInterrupt(), 2)]
)
def test_stopping_keeps_what_is_finished(
    stop: BaseException, number: int, trainer: tiny.Trainer, tmp_path: Path
) -> None:
    trainer.fail["plain 0"] = stop
    with pytest.raises(TableStoppedError, match=r"stopped by SIG\w+, 4 runs are left") as caught:
        run(tiny.plan(tmp_path))
    assert caught.value.signal == number
    written = json.loads((tmp_path / "ablation.json").read_text())
    assert [row["mean_iou"]["values"] for row in written["rows"]] == [[0.5], [0.5], []]
    trainer.fail.clear()
    trainer.trained.clear()
    result, _ = run(tiny.plan(tmp_path))
    assert trainer.trained == ALL[2:]
    assert result.missing == 0


def test_a_run_that_leaves_nothing_has_failed(
    trainer: tiny.Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "train_and_measure", lambda *_: None)
    result, _ = run(tiny.plan(tmp_path, seeds=1))
    assert "left no evaluation in" in result.failures[0]


def test_fewer_than_one_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got --jobs 0, expected at least 1"):
        run(tiny.plan(tmp_path), jobs=0)


def test_one_at_once_without_gpus(tmp_path: Path) -> None:
    assert runner.usual_jobs(tiny.plan(tmp_path)) == 1


@pytest.mark.usefixtures("workers")
def test_several_at_once_in_processes(tmp_path: Path) -> None:
    result, said = run(tiny.plan(tmp_path), jobs=2)
    assert result.missing == 0
    assert [o.job.name for o in result.failed] == ["plain, seed 0", "plain, seed 1"]
    assert "failed: plain, seed 1: no luck" in said
    begun = [float((tmp_path / "coarse" / s / "begun").read_text()) for s in ("seed0", "seed1")]
    assert abs(begun[0] - begun[1]) < 5
    again, said = run(tiny.plan(tmp_path), jobs=3)
    assert "4 of 6 runs are finished and kept" in said
    assert len(again.failed) == 2
    assert (tmp_path / "logs" / "plain-seed0.log").read_text() == "error: no luck\n" * 2


@pytest.mark.usefixtures("workers")
def test_stopping_lets_the_processes_save(tmp_path: Path) -> None:
    made = tiny.plan(tmp_path)
    run(tiny.plan(tmp_path, seeds=1), jobs=2)
    (tmp_path / "slow").write_text("")

    class StopSoon(Console):
        """Presses Ctrl-C a little after a run has begun, when its process listens."""

        def print(self, *objects: object, **options: object) -> None:
            super().print(*objects, **options)
            if "coarse, seed 1" in str(objects):
                begun = made.jobs[3].config.out / "begun"
                signal.signal(signal.SIGALRM, lambda *_: press(begun))
                signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)

    def press(begun: Path) -> None:
        if begun.exists():
            signal.setitimer(signal.ITIMER_REAL, 0)
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGINT)

    console = StopSoon(file=io.StringIO(), width=200, record=True)
    with pytest.raises(TableStoppedError, match="stopped by SIGINT") as caught:
        run_table(made, jobs=2, console=console)
    assert caught.value.signal == signal.SIGINT
    assert "stopping after this step" in console.export_text()
    assert (made.jobs[3].config.out / "saved").exists()
