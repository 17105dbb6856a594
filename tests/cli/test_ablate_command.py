import json
from pathlib import Path
from typing import Any

import pytest
from tests.ablation import tiny
from typer.testing import CliRunner

from lookwider.ablation import TABLES, runner
from lookwider.ablation.plan import Plan
from lookwider.ablation.result import AblationResult, Outcome
from lookwider.ablation.runner import TableStoppedError
from lookwider.cli import app
from lookwider.errors import ConfigError


class Runs:
    """Stands for `run_table`: notes what it was given."""

    def __init__(self, *, fail: bool = False) -> None:
        self.fail = fail
        self.plan: Plan | None = None
        self.jobs: int | None = None

    def __call__(self, plan: Plan, *, jobs: int | None, console: object) -> AblationResult:
        self.plan, self.jobs = plan, jobs
        outcomes = [Outcome(job, tiny.scores(0.25 + 0.1 * job.seed)) for job in plan.jobs]
        if self.fail:
            outcomes[0] = Outcome(plan.jobs[0], None, "no luck [at all]")
        return AblationResult(plan, tuple(outcomes))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    made = Runs()
    monkeypatch.setattr(runner, "run_table", made)
    return made


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["ablate", *arguments])


def test_a_table_and_what_is_next(runs: Runs, tmp_path: Path) -> None:
    out = str(tmp_path / "my table")
    result = call("systems", "data=scenes", "seeds=2", "steps=7", "--jobs", "3", "--out", out)
    assert result.exit_code == 0, result.output
    assert "FCN-8s" in result.stdout
    assert "69.8+" in result.stdout
    assert "+ as other works cite it, not read in the paper" in result.stdout
    assert f"{out}/ablation.png" in result.stderr
    assert f"lookwider evaluate '{out}/fcn-8s/seed1' data=scenes split=test" in result.stderr
    assert runs.plan is not None
    assert (runs.plan.seeds, runs.plan.split, runs.jobs) == (2, "test", 3)
    assert runs.plan.jobs[0].config.steps == 7


def test_usual_settings(runs: Runs) -> None:
    result = call("fcn", "test_split=val")
    assert "no data= given: the built-in scenes" in result.stderr
    assert runs.plan is not None
    assert (runs.plan.seeds, runs.plan.split, runs.jobs) == (3, "val", None)
    assert runs.plan.out == Path("runs/ablation-fcn")
    assert runs.plan.data == "scenes"


def test_json(runs: Runs) -> None:
    result = call("pspnet_aux", "data=scenes", "--json")
    content = json.loads(result.stdout)
    assert [row["label"] for row in content["rows"]] == ["none", "0.3", "0.4", "0.6", "0.9"]
    assert content["seeds"] == 3


def test_failed_runs_are_told_by_the_exit_code(runs: Runs) -> None:
    runs.fail = True
    result = call("fcn", "data=scenes", "seeds=1")
    assert result.exit_code == 1
    assert "failed: FCN-32s, seed 0: no luck [at all]" in result.stderr


def test_stopping_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise TableStoppedError(2, 5)

    monkeypatch.setattr(runner, "run_table", stop)
    result = call("fcn", "data=my photos", "steps=9", "--out", "a b")
    assert result.exit_code == 130
    assert "stopped by SIGINT, 5 runs are left. Go on with:" in result.stderr
    command = "lookwider ablate fcn 'data=my photos' steps=9 seeds=3 test_split=test --out 'a b'"
    assert command in result.stderr


def test_tables_are_listed() -> None:
    for result in (call("--list"), call()):
        assert result.exit_code == 0
        assert all(name in result.stdout for name in TABLES)
        assert "next: lookwider ablate" in result.stdout


def test_mistakes() -> None:
    for arguments, message in (
        (("fnc",), "unknown table 'fnc'; did you mean 'fcn'"),
        (("fcn", "seeds=many"), "got seeds='many', expected a whole number"),
        (("fcn", "seeds=0"), "got seeds=0, expected at least 1"),
    ):
        error = call(*arguments).exception
        assert isinstance(error, ConfigError)
        assert message in str(error)
