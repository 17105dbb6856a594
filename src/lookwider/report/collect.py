"""Measure a run with everything a page shows: one pass over the images, then the probes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape

from lookwider.data.sample import LabelArray, Sample, SegmentationDataset
from lookwider.diagnosis import ClassRelations, Diagnoser
from lookwider.errors import ConfigError, unknown_name
from lookwider.evaluation import evaluate
from lookwider.evaluation.evaluate import Observer
from lookwider.evaluation.metrics import Convention
from lookwider.evaluation.recorded import RecordedPredictions
from lookwider.inference.protocol import WHOLE, InferenceProtocol
from lookwider.models import Segmenter
from lookwider.report.probing import PROBES, probe
from lookwider.report.run_report import RunReport
from lookwider.training.config import TrainConfig
from lookwider.training.logs import read_metrics
from lookwider.training.run import METRICS
from lookwider.training.run_folder import CONFIG, read_config
from lookwider.weights.checkpoint import checkpoint_folder, load
from lookwider.weights.description import WEIGHTS, describe

FAILURES = "failures"
PARTS = (FAILURES, *PROBES)
"""What can be left out of a report."""


@dataclass(frozen=True)
class Collecting:
    """How runs are measured for a page.

    Attributes:
        inference: what is done to each image.
        batch_size: images of one size that go through at once.
        workers: threads that read ahead.
        convention: what a class without a pixel of truth does to the means.
        device: where the network goes.
        without: parts of `PARTS` to leave out.
        probed: images for receptive fields and feature scales.
        swapped: images for the reliance on context.

    Raises:
        ConfigError: an unknown part is to be left out.
    """

    inference: InferenceProtocol = WHOLE
    batch_size: int = 1
    workers: int = 2
    convention: Convention = "fcn"
    device: str | torch.device = "cpu"
    without: frozenset[str] = frozenset()
    probed: int = 3
    swapped: int = 20

    def __post_init__(self) -> None:
        for part in sorted(self.without - set(PARTS)):
            raise ConfigError(unknown_name("part of a report", part, PARTS))


def collect(
    run: str | Path,
    dataset: SegmentationDataset,
    *,
    name: str | None = None,
    relations: ClassRelations | None = None,
    how: Collecting | None = None,
    protocol: Mapping[str, Any] | None = None,
    console: Console | None = None,
    show: bool = True,
) -> RunReport:
    """Measure a run and probe it: metrics, every prediction, kinds of failure, instruments.

    Args:
        run: its folder, or a checkpoint.
        dataset: labelled images whose classes are the model's.
        name: of the run on the page; its folder's when not given.
        relations: which classes are seen together in training; without them there are no kinds of
            failure.
        how: the settings; the defaults when not given.
        protocol: what else to remember about how it was measured, such as the data's name.
        console: for progress and messages; standard error when None.
        show: whether there are any.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
        ConfigError: the protocol does not fit the model.
        DataError: the classes differ from the model's, or an image or label is unusable.
    """
    how, folder = how or Collecting(), Path(run)
    console = console or Console(stderr=True)
    name = name or folder.absolute().name
    checkpoint = checkpoint_folder(folder)
    model = load(checkpoint, device=how.device)
    if show:
        console.print(f"{escape(name)}: measuring on {len(dataset)} images, then probing")
    diagnoser = None
    if relations is not None and FAILURES not in how.without:
        diagnoser = Diagnoser(model.classes, relations, name=name)
    recorded = RecordedPredictions()
    timed = _Timed([recorded, *([diagnoser] if diagnoser else [])])
    evaluation = evaluate(
        model,
        dataset,
        inference=how.inference,
        batch_size=how.batch_size,
        workers=how.workers,
        worst=0,
        convention=how.convention,
        observers=(timed,),
        protocol={**(protocol or {}), **_checkpoint_protocol(checkpoint)},
        console=console,
        show=show,
    )
    found = probe(
        model,
        name,
        dataset,
        images=how.probed,
        swapped=how.swapped,
        without=how.without,
        console=console,
        show=show,
    )
    config = run_config(folder)
    return RunReport(
        name=name,
        folder=folder,
        model=model_words(model),
        parameters=sum(values.numel() for values in model.parameters()),
        evaluation=dataclasses.replace(evaluation, seconds=evaluation.seconds - timed.seconds),
        config=config,
        rows=tuple(read_metrics(run_folder(folder) / METRICS)) if config else (),
        predictions=recorded,
        diagnosis=diagnoser.result() if diagnoser else None,
        fields=found.fields,
        reliance=found.reliance,
        scales=found.scales,
        missing={**_missing(folder, config, relations, how), **found.missing},
    )


def _missing(
    folder: Path, config: TrainConfig | None, relations: ClassRelations | None, how: Collecting
) -> dict[str, str]:
    missing = {}
    if config is None:
        missing["learning"] = f"{folder} is a checkpoint without a run: it holds no {CONFIG}"
    if FAILURES in how.without:
        missing[FAILURES] = "left out"
    elif relations is None:
        missing[FAILURES] = "which classes are seen together in training is not known; give train="
    return missing


class _Timed:
    """Observers as one, and the seconds that they take."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.observers = observers
        self.seconds = 0.0

    def __call__(self, sample: Sample, prediction: LabelArray) -> None:
        started = time.perf_counter()
        for observer in self.observers:
            observer(sample, prediction)
        self.seconds += time.perf_counter() - started


def run_folder(path: Path) -> Path:
    """Return the run that a path is or is a checkpoint of.

    Example:
        >>> run_folder(Path("runs/a/best")).as_posix()
        'runs/a'
    """
    return path.parent if path.name in {"best", "last", "previous"} else path


def run_config(path: Path) -> TrainConfig | None:
    """Return the settings of a run's training; None of a checkpoint that is of no run."""
    folder = run_folder(path)
    return read_config(folder) if (folder / CONFIG).is_file() else None


def model_words(model: Segmenter) -> str:
    """Return what a model is, in words.

    Example:
        >>> from lookwider.models import create_model
        >>> model_words(create_model("fcn8s", backbone="test_resnet"))
        'fcn8s on test_resnet'
    """
    return f"{model.architecture['name']} on {model.architecture['backbone']}"


def _checkpoint_protocol(checkpoint: Path) -> dict[str, Any]:
    description = describe(checkpoint)
    return {
        "checkpoint": str(checkpoint),
        "sha256": description.sha256[WEIGHTS],
        "alignment": description.alignment,
        "versions": description.versions,
    }
