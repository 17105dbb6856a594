"""Class weights from the training labels, counted once per run and kept in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from lookwider.classes import IGNORE_INDEX
from lookwider.data.sample import SegmentationDataset
from lookwider.errors import DataError
from lookwider.images import write_bytes
from lookwider.training.collectives import (
    from_main,
    meet,
    objects_of_all,
    process_count,
    process_rank,
)
from lookwider.training.optimisation import median_frequency_weights

MEETING = 100
"""Images after which processes wait for each other: one that reads slowly is not given up."""


def count_pixels(dataset: SegmentationDataset, console: Console) -> tuple[Tensor, Tensor]:
    """Count over all labels: each class's pixels, and valid pixels of the images that hold it.

    Processes that train together share the images out and add up what they counted.

    Shape:
        two (K,) int64.

    Raises:
        DataError: a sample has no label.
    """
    size = len(dataset.classes)
    found = torch.zeros(2, size, dtype=torch.int64)
    turns = track(
        range(0, len(dataset), process_count()),
        description="counting classes",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    for turn, first in enumerate(turns):
        if turn % MEETING == 0:
            meet()
        if (index := first + process_rank()) < len(dataset):
            counts = _count(dataset, index)
            found += torch.stack([counts, (counts > 0) * counts.sum()])
    pixels, image_pixels = torch.stack(objects_of_all(found)).sum(0)
    return pixels, image_pixels


def _count(dataset: SegmentationDataset, index: int) -> Tensor:
    sample = dataset[index]
    if sample.label is None:
        raise DataError(f"{sample.name!r} has no label, expected one to train on")
    valid = sample.label[sample.label != IGNORE_INDEX]
    return torch.from_numpy(np.bincount(valid, minlength=len(dataset.classes)))


def class_weights(dataset: SegmentationDataset, path: Path, console: Console) -> Tensor:
    """Return median frequency weights; counted at first, read from ``path`` afterwards.

    Shape:
        (K,) float32.
    """
    kept = from_main(lambda: _read(path))
    pixels, image_pixels = kept or count_pixels(dataset, console)
    weights = median_frequency_weights(pixels, image_pixels)
    if kept is None and process_rank() == 0:
        content = {
            "classes": list(dataset.classes.names),
            "pixels": pixels.tolist(),
            "image_pixels": image_pixels.tolist(),
            "median_frequency_weights": weights.tolist(),
        }
        write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())
    return weights


def _read(path: Path) -> tuple[Tensor, Tensor] | None:
    if not path.is_file():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    return torch.tensor(stored["pixels"]), torch.tensor(stored["image_pixels"])
