from pathlib import Path
from typing import Any

import pytest
import torch
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from lookwider import demo as job
from lookwider.cli import app
from lookwider.cli.demo import SIZE, STEPS, SYSTEMS, parse_size
from lookwider.data.scenes import SCENE_CLASSES
from lookwider.demo import DemoResult
from lookwider.errors import ConfigError
from lookwider.evaluation import ClassScores, Evaluation
from lookwider.report.failures import failure_scores
from lookwider.report.run_report import RunReport
from lookwider.training.run import TrainResult
from lookwider.training.stopping import StoppedError


def finished(out: Path, **settings: Any) -> DemoResult:
    assert settings["systems"] == ["fcn8s", "parsenet", "pspnet"]
    scores = ClassScores(SCENE_CLASSES, 10 * torch.eye(21, dtype=torch.int64) + 1)
    run = RunReport("PSPNet", out / "run", "a model", 7, Evaluation(scores, {}, (), (), 1.0))
    files = {"report": out / "report.html", "table": out / "table.csv"}
    training = TrainResult(out / "run", 2, 0.5, 2, 1.0, {})
    failures = (failure_scores(scores.counts),)
    return DemoResult(out, files["report"], (run,), failures, files, (training,), 65.0)


def test_demo_is_the_first_command() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    assert next(iter(group.commands)) == "demo"


def test_it_says_where_everything_is_and_what_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "run_demo", finished)
    result = CliRunner().invoke(app, ["demo", "--out", "my [demo]", "--steps", "2"])
    assert result.exit_code == 0, result.output
    assert "open my [demo]/report.html in a browser" in result.stdout
    assert "lookwider data check PATH" in result.stdout
    assert "lookwider train fcn8s data=PATH out=runs/first" in result.stdout
    assert "mismatched relationship" in result.stdout
    assert "mean IoU" in result.stdout
    assert "made in 1 min" in result.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoppedError(3, 2), 130), (StoppedError(3, 15), 143), (KeyboardInterrupt(), 130)],
)
def test_stopping_says_how_to_go_on(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(job, "run_demo", stop)
    given = ["--out", "my demo", "--systems", "pspnet", "--size", "64x80"]
    result = CliRunner().invoke(app, ["demo", *given])
    assert result.exit_code == code
    assert "lookwider demo --out 'my demo' --systems pspnet --size 64x80" in result.stderr
    assert "lookwider demo\n" in CliRunner().invoke(app, ["demo"]).stderr


def test_a_size_that_is_none() -> None:
    with pytest.raises(ConfigError, match="got --size 'wide', expected HEIGHTxWIDTH"):
        parse_size("wide")


def test_the_command_shows_the_settings_of_the_job() -> None:
    assert ",".join(job.SYSTEMS) == SYSTEMS
    assert job.STEPS == STEPS
    assert parse_size(SIZE) == job.SIZE
