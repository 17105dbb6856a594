"""A table with real training: small, and stopped in the middle."""

import dataclasses
import io
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from rich.console import Console
from tests.ablation import tiny

from lookwider import load, open_dataset
from lookwider.ablation import writing
from lookwider.ablation.measure import read_scores
from lookwider.ablation.runner import TableStoppedError, run_table
from lookwider.data.scenes import FAILURE_KINDS
from lookwider.evaluation import evaluate
from lookwider.report.failures import failure_scores

STAGES = dataclasses.replace(tiny.TABLE, rows=tiny.TABLE.rows[:2])


class StopAtFirstValidation(Console):
    """Presses Ctrl-C when the first validation of the second run complains."""

    begun = pressed = False

    def print(self, *objects: object, **options: object) -> None:
        super().print(*objects, **options)
        self.begun = self.begun or "run 2 of 2" in str(objects)
        if self.begun and not self.pressed and "never predicted" in str(objects):
            self.pressed = True
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_a_table_is_trained_stopped_and_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "plot", lambda result: b"drawn")
    plan = tiny.plan(tmp_path / "out", 1, STAGES, val_every="1")
    console = StopAtFirstValidation(file=io.StringIO(), width=200, record=True)
    with pytest.raises(TableStoppedError, match="stopped by SIGINT, 1 runs are left"):
        run_table(plan, console=console)
    coarse, fine = (job.config.out for job in plan.jobs)
    weights = coarse / "last" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    result = run_table(plan, console=console)
    said = console.export_text()
    assert f"began from {coarse}" in said
    assert f"continuing {fine} from step 1" in said
    assert weights.stat().st_mtime_ns == before
    assert result.missing == 0

    model = load(fine)
    dataset = open_dataset(tiny.SETTINGS["data"], "test")
    counts = evaluate(model, dataset, show=False).scores.counts
    written = json.loads((plan.out / "ablation.json").read_text())["rows"][1]["runs"][0]
    expected = {score.name: score.accuracy for score in failure_scores(counts)}
    assert set(FAILURE_KINDS[1:]) < set(expected)
    assert written["right_by_kind_of_failure"] == {
        name: None if share != share else share for name, share in expected.items()
    }
    right = float(counts.diagonal().sum() / counts.sum())
    assert written["metrics"]["pixel_accuracy"] == pytest.approx(right)

    # an evaluation of other weights, or one that is no evaluation, does not count
    path = fine / "evaluation" / "test" / "evaluation.json"
    content = json.loads(path.read_text())
    assert content["protocol"]["trained_steps"] == 2
    for damage in ({"sha256": "0"}, {"trained_steps": None}):
        changed = {k: v for k, v in (content["protocol"] | damage).items() if v is not None}
        path.write_text(json.dumps(content | {"protocol": changed}))
        assert read_scores(fine, "test", on_scenes=True) is None
    path.write_text("{")
    assert read_scores(fine, "test", on_scenes=True) is None
    assert read_scores(fine, "val", on_scenes=True) is None
    assert torch.tensor(content["confusion"]).equal(counts)
