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
from lookwider.training.optimisation import median_frequency_weights


def count_pixels(dataset: SegmentationDataset, console: Console) -> tuple[Tensor, Tensor]:
    """Count over all labels: each class's pixels, and valid pixels of the images that hold it.

    Shape:
        two (K,) int64.

    Raises:
        DataError: a sample has no label.
    """
    size = len(dataset.classes)
    pixels = torch.zeros(size, dtype=torch.int64)
    image_pixels = torch.zeros(size, dtype=torch.int64)
    indices = track(
        range(len(dataset)),
        description="counting classes",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    for index in indices:
        sample = dataset[index]
        if sample.label is None:
            raise DataError(f"{sample.name!r} has no label, expected one to train on")
        counts = np.bincount(sample.label[sample.label != IGNORE_INDEX], minlength=size)
        pixels += torch.from_numpy(counts)
        image_pixels += torch.from_numpy((counts > 0) * counts.sum())
    return pixels, image_pixels


def class_weights(dataset: SegmentationDataset, path: Path, console: Console) -> Tensor:
    """Return median frequency weights; counted at first, read from ``path`` afterwards.

    Shape:
        (K,) float32.
    """
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        pixels, image_pixels = (torch.tensor(stored[key]) for key in ("pixels", "image_pixels"))
        return median_frequency_weights(pixels, image_pixels)
    pixels, image_pixels = count_pixels(dataset, console)
    weights = median_frequency_weights(pixels, image_pixels)
    content = {
        "classes": list(dataset.classes.names),
        "pixels": pixels.tolist(),
        "image_pixels": image_pixels.tolist(),
        "median_frequency_weights": weights.tolist(),
    }
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())
    return weights
