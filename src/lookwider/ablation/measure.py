"""One run of a table: train it, measure it, and read what was measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from lookwider.data import open_dataset
from lookwider.evaluation import evaluate
from lookwider.inference.device import choose_device
from lookwider.report.failures import failure_scores
from lookwider.training.config import TrainConfig
from lookwider.training.run import train
from lookwider.weights.checkpoint import checkpoint_folder, load
from lookwider.weights.description import WEIGHTS, describe

METRICS = ("mean_iou", "pixel_accuracy", "mean_accuracy", "freq_weighted_iou")
"""What is read of an evaluation, in shares of 1."""

EVALUATION = "evaluation.json"
TRAINED = "trained_steps"
"""In the protocol of an evaluation that was made after the training's end."""


@dataclass(frozen=True)
class Scores:
    """What one run reached, in shares of 1.

    Attributes:
        metrics: by the names of `METRICS`.
        failures: share of right pixels by kind of failure; empty but for the built-in scenes.
    """

    metrics: dict[str, float]
    failures: dict[str, float]


def train_and_measure(config: TrainConfig, split: str, console: Console) -> None:
    """Train a run, or go on with it, and measure its best weights.

    What was trained or measured before is kept.

    Raises:
        StoppedError: SIGINT or SIGTERM came while training; the state was saved.
        LookwiderError: it cannot be trained or measured.
    """
    training = train(config, console)
    checkpoint = checkpoint_folder(config.out)
    description = describe(checkpoint)
    model = load(checkpoint, device=choose_device("cpu" if config.accelerator == "cpu" else "auto"))
    result = evaluate(
        model,
        open_dataset(config.data, split, layout=config.layout),
        batch_size=config.val_batch_size,
        worst=2,
        console=console,
        protocol={
            "data": config.data,
            "split": split,
            TRAINED: training.steps,
            "checkpoint": str(checkpoint),
            "sha256": description.sha256[WEIGHTS],
            "alignment": description.alignment,
            "training": description.protocol,
            "versions": description.versions,
        },
    )
    result.save(evaluation_folder(config.out, split))


def evaluation_folder(run: Path, split: str) -> Path:
    """Return where a run's evaluation is, as `lookwider evaluate` has it."""
    return run / "evaluation" / split


def read_scores(run: Path, split: str, *, on_scenes: bool) -> Scores | None:
    """Return what a finished run reached, or None where it was not measured yet.

    Args:
        run: its folder.
        split: that was measured on.
        on_scenes: whether the classes are those of the built-in scenes.
    """
    path = evaluation_folder(run, split) / EVALUATION
    if not path.is_file():
        return None
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))
        current = describe(checkpoint_folder(run)).sha256[WEIGHTS]
    except (OSError, ValueError):  # also of a checkpoint: it is trained or measured again
        return None
    protocol = measured["protocol"]
    if protocol.get("sha256") != current or TRAINED not in protocol:
        return None
    return Scores(
        {name: _number(measured[name]) for name in METRICS},
        _failures(measured["confusion"]) if on_scenes else {},
    )


def _failures(confusion: list[list[int]]) -> dict[str, float]:
    counts = torch.tensor(confusion, dtype=torch.int64)
    return {score.name: score.accuracy for score in failure_scores(counts)}


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
