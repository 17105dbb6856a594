"""A table of three rows, runs that take no time, and their scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lookwider.ablation import AblationTable, Published, Row
from lookwider.ablation.measure import METRICS, Scores
from lookwider.ablation.plan import Plan, make_plan
from lookwider.ablation.result import AblationResult, Outcome
from lookwider.errors import DataError
from lookwider.training.config import TrainConfig

TABLE = AblationTable(
    "tiny",
    "Tiny: coarse and fine",
    "nobody 2015, table 9",
    "little data",
    (
        Row("coarse", "fcn32s", published=Published(59.4, 89.1)),
        Row("fine", "fcn16s", {}, Published(60.25, source="memory"), "coarse", 0.5),
        Row("plain", "fcn16s", {"upsampling": "fixed"}, Published(remark="diverged")),
    ),
    ("A remark.",),
)

SETTINGS = {
    "data": "scenes:count=2,size=32x48",
    "backbone": "test_efficientnet",
    "steps": "2",
    "batch_size": "2",
    "val_limit": "1",
    "workers": "0",
    "accelerator": "cpu",
}


def plan(out: Path, seeds: int = 2, table: AblationTable = TABLE, **settings: Any) -> Plan:
    """Return the runs of the tiny table."""
    return make_plan(table, SETTINGS | settings, seeds=seeds, out=out)


def scores(mean_iou: float, failures: dict[str, float] | None = None) -> Scores:
    """Return scores that follow from one number."""
    values = dict.fromkeys(METRICS, mean_iou / 2) | {"mean_iou": mean_iou}
    return Scores(values, failures or {})


def result(out: Path, *, kinds: bool = True) -> AblationResult:
    """Return a table whose third row failed with the second seed and was not run with the third."""
    made = plan(out, seeds=3)
    outcomes = []
    for job in made.jobs:
        base = {"coarse": 0.40, "fine": 0.45, "plain": 0.30}[job.row.label]
        found = scores(base + 0.01 * job.seed**2, {"a kind": base} if kinds else None)
        outcome = Outcome(job, found)
        if job.row.label == "plain" and job.seed > 0:
            outcome = Outcome(job, None, "no luck,\n  at all" if job.seed == 1 else None)
        outcomes.append(outcome)
    return AblationResult(made, tuple(outcomes))


class Trainer:
    """Stands for training and measuring: notes who comes, fails where told to."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.fail: dict[str, BaseException] = {}

    def train_and_measure(self, config: TrainConfig, split: str, console: object) -> None:
        name = f"{config.out.parent.name} {config.seed}"
        self.trained.append(name)
        config.out.mkdir(parents=True, exist_ok=True)
        (config.out / "config.json").write_text(config.model_dump_json(exclude={"resume"}))
        if name in self.fail:
            raise self.fail[name]
        (config.out / "scores.json").write_text(json.dumps(0.5 + config.seed / 10))

    def read_scores(self, run: Path, split: str, *, on_scenes: bool) -> Scores | None:
        path = run / "scores.json"
        return scores(json.loads(path.read_text()), {"a kind": 0.5}) if path.is_file() else None


BROKEN = DataError("a/b.png: not an image")
