"""Run a model over a labelled data set and count."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from lookwider.classes import IGNORE_INDEX, Classes
from lookwider.data.sample import LabelArray, Sample, SegmentationDataset
from lookwider.errors import DataError, LookwiderError
from lookwider.evaluation.metrics import (
    Convention,
    check_convention,
    confusion_counts,
    mean_iou,
    pixel_accuracy,
)
from lookwider.evaluation.result import ClassScores, Evaluation, ImageScore, ScoredImage
from lookwider.inference.compiled import for_inference
from lookwider.inference.memory import memory_advice
from lookwider.inference.multiscale import OnWindow, check_protocol, class_probabilities, labels_of
from lookwider.inference.prefetch import prefetch
from lookwider.inference.progress import ImageProgress
from lookwider.inference.protocol import WHOLE, InferenceProtocol
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter

MAIN = "main"

Observer = Callable[[Sample, LabelArray], None]
"""Is given every image with its predicted labels (H, W), in the order of the data set."""


def evaluate(
    model: Segmenter,
    dataset: SegmentationDataset,
    *,
    inference: InferenceProtocol = WHOLE,
    batch_size: int = 1,
    workers: int = 2,
    worst: int = 4,
    best: int = 0,
    observers: Sequence[Observer] = (),
    convention: Convention = "fcn",
    protocol: Mapping[str, Any] | None = None,
    console: Console | None = None,
    show: bool = True,
) -> Evaluation:
    """Measure a model, on the device it is on, over every image of a data set.

    Predictions are compared at each image's own size. Counts stream, so memory does not grow with
    the data set.

    Args:
        model: in evaluation mode while it is measured; compiled for inference, where it is not.
        dataset: labelled samples whose classes are the model's.
        inference: what is done to each image; whole by default.
        batch_size: at most so many images of one size, one after the other, go through at once;
            of protocols that are not plain, so many windows of an image.
        workers: threads that read ahead.
        worst: how many of the worst images to keep.
        best: how many of the best.
        observers: each is called with every sample and the main head's labels of it.
        convention: what a class without a pixel of truth does to the means.
        protocol: what else to remember about how it was measured.
        console: where progress is shown; standard error when None.
        show: whether it is.

    Raises:
        ConfigError: the protocol does not fit the model.
        DataError: the classes differ from the model's, an image or label is unusable, or the
            network gives NaN for an image; the message names the file.
    """
    check_convention(convention)
    check_protocol(model, inference)
    if len(dataset) == 0:
        raise DataError("the data set holds no image to evaluate on")
    check_classes(model, dataset)
    shared = model.extra_classes.keys() & dataset.extra_classes.keys()
    extra = {head: model.extra_classes[head] for head in sorted(shared)}
    tally = _Tally(
        {MAIN: model.classes, **extra}, _Extreme(worst, -1), _Extreme(best, 1), observers
    )
    started = time.perf_counter()
    model = for_inference(model)
    with (
        evaluating(model),
        ImageProgress("evaluating", len(dataset), console, show=show) as progress,
    ):
        samples = prefetch(dataset.__getitem__, range(len(dataset)), workers)
        images = batch_size if inference.is_plain else 1
        for batch in same_size_batches((f.result() for _, f in samples), images):
            where = ", ".join(sample.name for sample in batch)
            with torch.inference_mode(), memory_advice(where), _naming(where):
                if inference.is_plain:
                    found = _whole(model, batch, tally.heads)
                else:
                    tell = progress.windows_of(where)
                    found = _by_protocol(model, batch[0], tally.heads, inference, batch_size, tell)
            tally.add(batch, found)
            note = f"mean IoU {100 * mean_iou(tally.counts[MAIN], convention):.1f}"
            progress.advance(len(batch), note)
    seconds = time.perf_counter() - started
    scores = {
        head: ClassScores(classes, tally.counts[head], convention)
        for head, classes in tally.heads.items()
    }
    return Evaluation(
        scores=scores.pop(MAIN),
        extra=scores,
        images=tuple(tally.images),
        worst=tally.worst.images(),
        best=tally.best.images(),
        seconds=seconds,
        protocol={**_protocol(model, inference, batch_size, convention), **(protocol or {})},
    )


def check_classes(model: Segmenter, dataset: SegmentationDataset) -> None:
    """Raise a `DataError` that lists both where the data's classes are not the model's."""
    pairs = {"": (model.classes, dataset.classes)}
    for head in model.extra_classes.keys() & dataset.extra_classes.keys():
        pairs[f" of {head!r}"] = (model.extra_classes[head], dataset.extra_classes[head])
    for which, (ours, theirs) in pairs.items():
        if ours.names != theirs.names:
            raise DataError(
                f"the data's classes{which} are not the model's; the model has {len(ours)}: "
                f"{', '.join(ours.names)}; the data has {len(theirs)}: "
                f"{', '.join(theirs.names)}; evaluate on data of the same classes in the same "
                "order, or give the data a class map that makes them so"
            )


def same_size_batches(samples: Iterable[Sample], batch_size: int) -> Iterator[list[Sample]]:
    """Yield runs of consecutive samples of one size, at most ``batch_size`` long."""
    for _, run in itertools.groupby(samples, key=lambda sample: sample.image.shape):
        while batch := list(itertools.islice(run, max(1, batch_size))):
            yield batch


def _whole(model: Segmenter, batch: list[Sample], heads: Iterable[str]) -> dict[str, Tensor]:
    """Return the labels of images of one size, by head: (N, H, W) uint8."""
    maps = model.scores(torch.cat([model.preprocess(sample.image) for sample in batch]))
    return {head: maps[head].labels() for head in heads}


def _by_protocol(
    model: Segmenter,
    sample: Sample,
    heads: Iterable[str],
    inference: InferenceProtocol,
    batch_size: int,
    on_window: OnWindow,
) -> dict[str, Tensor]:
    """Return the labels of one image, by head: (1, H, W) uint8."""
    found = class_probabilities(
        model, sample.image, inference, batch_size=batch_size, on_window=on_window
    )
    return {head: labels_of(found[head])[None] for head in heads}


@dataclass
class _Extreme:
    """The images of the highest (sign 1) or lowest (sign -1) mean IoU so far."""

    keep: int
    sign: int
    heap: list[tuple[float, int, ScoredImage]] = field(default_factory=list)

    def offer(self, score: float, number: int, image: ScoredImage) -> None:
        """Keep an image if it is among them; of equal ones the earlier."""
        entry = (self.sign * score, -number)
        if len(self.heap) < self.keep or (self.heap and entry > self.heap[0][:2]):
            heapq.heappush(self.heap, (*entry, image))
            if len(self.heap) > self.keep:
                heapq.heappop(self.heap)

    def images(self) -> tuple[ScoredImage, ...]:
        """Return them, the most extreme first."""
        return tuple(image for _, _, image in sorted(self.heap, key=lambda e: e[:2])[::-1])


@dataclass
class _Tally:
    """Counts, image scores, the worst and the best images so far."""

    heads: Mapping[str, Classes]
    worst: _Extreme
    best: _Extreme
    observers: Sequence[Observer]
    counts: dict[str, Tensor] = field(init=False)
    images: list[ImageScore] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = {
            head: torch.zeros(len(classes), len(classes), dtype=torch.int64)
            for head, classes in self.heads.items()
        }

    def add(self, batch: list[Sample], predictions: Mapping[str, Tensor]) -> None:
        """Count the labels (N, H, W) that were predicted for images of one size, by head."""
        for i, sample in enumerate(batch):
            for head in self.heads:
                label = sample.label if head == MAIN else sample.extra_labels.get(head)
                counts = self._count(sample, label, predictions[head][i], head)
                self.counts[head] += counts
                if head == MAIN:
                    self._score(sample, counts, predictions[head][i].cpu().numpy())

    def _count(
        self, sample: Sample, label: LabelArray | None, prediction: Tensor, head: str
    ) -> Tensor:
        if label is None:
            raise DataError(f"{sample.name}: has no label, expected one to evaluate on")
        with _naming(sample.name):
            labels = torch.from_numpy(np.array(label)).to(prediction.device)
            return confusion_counts(labels, prediction, len(self.heads[head])).cpu()

    def _score(self, sample: Sample, counts: Tensor, prediction: LabelArray) -> None:
        score = ImageScore(sample.name, mean_iou(counts), pixel_accuracy(counts))
        self.images.append(score)
        for observer in self.observers:
            observer(sample, prediction)
        if sample.label is None or math.isnan(score.mean_iou):
            return
        image = ScoredImage(score, sample.image, sample.label, prediction)
        for extreme in (self.worst, self.best):
            extreme.offer(score.mean_iou, len(self.images), image)


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Put the images' names before an error's message."""
    try:
        yield
    except LookwiderError as error:
        raise DataError(f"{where}: {error}") from error


def _protocol(
    model: Segmenter, inference: InferenceProtocol, batch_size: int, convention: Convention
) -> dict[str, Any]:
    return {
        "images": inference.describe(),
        "inference": inference.to_json(),
        "ignore_index": IGNORE_INDEX,
        "convention": convention,
        "batch_size": batch_size,
        "precision": str(model.compiled or next(model.parameters()).dtype).removeprefix("torch."),
        "device": str(model.device),
        "architecture": model.architecture,
    }
