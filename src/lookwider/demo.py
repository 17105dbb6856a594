"""The main job on the built-in scenes, start to end: train, evaluate, predict, report."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from lookwider.data import SceneDataset, open_dataset
from lookwider.data.scenes import MIN_SIZE, Scene, scene
from lookwider.errors import ConfigError, DataError
from lookwider.evaluation import Evaluation, evaluate
from lookwider.evaluation.metrics import confusion_counts, pixel_accuracy
from lookwider.evaluation.pictures import Example
from lookwider.images import write_bytes, write_image
from lookwider.inference.device import choose_device
from lookwider.inference.predictor import find_images, predict_files
from lookwider.models import Segmenter
from lookwider.predictions import label_path
from lookwider.report.demo_page import demo_page
from lookwider.report.failures import FailureScore, failure_scores
from lookwider.training.config import TrainConfig, differences
from lookwider.training.run import TrainResult, train
from lookwider.training.run_folder import CONFIG, read_config
from lookwider.weights.checkpoint import checkpoint_folder, load
from lookwider.weights.description import WEIGHTS, describe

RUN, EVALUATION, SCENES, PREDICTIONS = "run", "evaluation", "scenes", "predictions"
"""Folders of a demo."""

REPORT, TABLE = "report.html", "table.csv"

STEPS, SIZE = 360, (96, 128)
"""What takes two cores about two minutes."""

SHOWN: tuple[tuple[int, str], ...] = (
    (0, "lake"),
    (0, "road"),
    (1, "street"),
    (1, "skyline"),
    (2, "bedroom"),
)
"""Number and kind of the scenes to predict: one number's blobs in two surroundings."""


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What a demo leaves.

    Attributes:
        folder: that holds everything.
        run: folder of the training run.
        report: the page.
        evaluation: of the test split.
        failures: the same by kind of failure.
        files: what there is to look at, by what it is.
        training: what the training ended with; 0 seconds when it was finished before.
        seconds: of the whole demo.
    """

    folder: Path
    run: Path
    report: Path
    evaluation: Evaluation
    failures: tuple[FailureScore, ...]
    files: dict[str, Path]
    training: TrainResult
    seconds: float


def demo_config(
    out: Path, *, steps: int = STEPS, seed: int = 0, size: tuple[int, int] = SIZE
) -> TrainConfig:
    """Return the settings of the demo's training: FCN-8s on a ResNet-18, from random weights.

    AdamW at a high rate learns most in a few hundred steps without ImageNet weights.

    Raises:
        ConfigError: a size that is too small for the scenes.
    """
    height, width = size
    if min(size) < MIN_SIZE:
        raise ConfigError(
            f"got size {height}x{width}, expected at least {MIN_SIZE}x{MIN_SIZE}, e.g. 96x128"
        )
    return TrainConfig(
        recipe="fcn8s",
        model="fcn8s",
        backbone="resnet18",
        data=f"scenes:size={height}x{width},seed={seed}",
        flip=0.5,
        steps=steps,
        batch_size=8,
        optimizer="adamw",
        base_lr=0.002,
        bias_lr_factor=1.0,
        weight_decay=0.05,
        warmup_steps=min(20, steps),
        clip_grad=5.0,
        val_every=max(1, steps // 6),
        val_limit=50,
        val_batch_size=10,
        log_every=max(1, min(10, steps // 10)),
        seed=seed,
        out=out / RUN,
    )


def run_demo(
    out: Path,
    *,
    steps: int = STEPS,
    seed: int = 0,
    size: tuple[int, int] = SIZE,
    console: Console | None = None,
) -> DemoResult:
    """Train, evaluate, predict and write the report, or go on where the same demo was stopped.

    A finished training is kept; what follows it takes seconds and is made anew.

    Args:
        out: a new folder, or that of an earlier demo with the same settings.
        steps: of the training.
        seed: of the scenes and the training.
        size: (height, width) of the scenes.
        console: for progress and messages; standard error when not given.

    Raises:
        ConfigError: the folder holds something else, or a demo with other settings.
        StoppedError: Ctrl-C came while training; the state was saved.
    """
    console = console or Console(stderr=True)
    started = time.monotonic()
    config = demo_config(out, steps=steps, seed=seed, size=size)
    check_folder(out, config)
    console.print("1/4 training FCN-8s on the built-in scenes; Ctrl-C stops, a rerun goes on")
    training = train(config, console)
    if training.seconds == 0:
        console.print("the training is kept; evaluation, pictures and report are made anew")
    model = load(training.run, device=choose_device())
    console.print("2/4 evaluating on the test split")
    test = open_dataset(config.data, "test")
    assert isinstance(test, SceneDataset)
    result = measure(model, test, config, console)
    written = result.save(out / EVALUATION)
    write_bytes(out / TABLE, class_table(result))
    console.print("3/4 predicting scenes that it never saw")
    examples = predict_scenes(model, test, out, console)
    console.print("4/4 writing the report")
    failures = failure_scores(result.scores.counts)
    write_bytes(out / REPORT, demo_page(config, test.size, result, failures, examples).encode())
    seconds = time.monotonic() - started
    files = {"report": out / REPORT, "table": out / TABLE}
    files |= {path.stem: path for path in written}
    files |= {SCENES: out / SCENES, PREDICTIONS: out / PREDICTIONS, RUN: training.run}
    return DemoResult(out, training.run, out / REPORT, result, failures, files, training, seconds)


def check_folder(out: Path, config: TrainConfig) -> None:
    """Raise a `ConfigError` unless the folder is new or holds a demo with these settings."""
    if not (out / RUN / CONFIG).is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out}: is there already and holds no demo; choose another --out")
        return
    changed = differences(read_config(out / RUN), config)
    if changed:
        listed = ", ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
        raise ConfigError(
            f"{out}: holds a demo with other settings ({listed}); choose another --out, or "
            "remove that folder"
        )


def measure(
    model: Segmenter, test: SceneDataset, config: TrainConfig, console: Console
) -> Evaluation:
    """Evaluate as ``lookwider evaluate`` does, and remember how."""
    checkpoint = checkpoint_folder(config.out)
    description = describe(checkpoint)
    return evaluate(
        model,
        test,
        batch_size=config.val_batch_size,
        worst=3,
        console=console,
        protocol={
            "data": config.data,
            "split": "test",
            "checkpoint": str(checkpoint),
            "sha256": description.sha256[WEIGHTS],
            "alignment": description.alignment,
            "versions": description.versions,
        },
    )


def class_table(result: Evaluation) -> bytes:
    """Return the classes' scores as CSV, in shares of 1; empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "iou", "accuracy", "share_of_pixels"])
    for name, values in result.to_json()["classes"].items():
        writer.writerow([name, values["iou"], values["accuracy"], values["share"]])
    return text.getvalue().encode()


def predict_scenes(
    model: Segmenter, test: SceneDataset, out: Path, console: Console
) -> tuple[Example, ...]:
    """Write scenes as image files, predict these as ``lookwider predict`` does, read the results.

    Raises:
        DataError: one could not be predicted.
    """
    scenes = {kind: scene(test.seed, i, test.size, kind=kind) for i, kind in SHOWN}
    for name, picture in scenes.items():
        write_image(out / SCENES / f"{name}.png", Image.fromarray(picture.image))
    images = find_images([out / SCENES / f"{name}.png" for name in scenes])
    report = predict_files(model, images, out / PREDICTIONS, console=console)
    if report.failed:
        raise DataError(report.failed[0].reason)
    return tuple(_example(name, picture, out) for name, picture in scenes.items())


def _example(name: str, picture: Scene, out: Path) -> Example:
    with Image.open(label_path(out / PREDICTIONS, name)) as file:
        prediction = np.array(file)
    truth = torch.from_numpy(picture.label)
    counts = confusion_counts(truth, torch.from_numpy(prediction), len(SceneDataset(1).classes))
    caption = f"{name}: {100 * pixel_accuracy(counts):.1f} % of the pixels are right"
    return Example(caption, picture.image, picture.label, prediction)
