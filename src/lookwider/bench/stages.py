"""The stages from an image file to labels, each as a function of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from lookwider.bench.forms import Form
from lookwider.errors import ConfigError
from lookwider.images import read_image
from lookwider.scores import ScoreMap

WHOLE = "image to labels"
"""The name of all stages together."""

STAGES = ("read", "preprocess", "trunk", "context", "head", "labels")
"""The stages in their order. ``context`` summarises the regions; ``head`` adds them to every place
and scores it."""

Pixels = npt.NDArray[np.generic]

BLOTCHES = 16
"""Pixels of a blotch of the made-up image."""


@dataclass(frozen=True)
class Work:
    """What one form does with a batch.

    Attributes:
        runs: stage -> what computes it, from the results of the stages before.
        touched: stage -> bytes that it must read and write at least.
        images: the preprocessed batch.
        scores: the coarse scores of the batch.
        labels: (N, H, W) the classes.
    """

    runs: dict[str, Callable[[], object]]
    touched: dict[str, int]
    images: Tensor
    scores: ScoreMap
    labels: Tensor


def write_picture(folder: Path, size: tuple[int, int], bands: int) -> Path:
    """Write a made-up image of colour blotches and noise: JPEG, or .npy of other bands than 3.

    Raises:
        ConfigError: the size is not positive.
    """
    height, width = size
    if min(size) < 1:
        raise ConfigError(f"got a size of {height}x{width}, expected at least 1x1")
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (height // BLOTCHES + 2, width // BLOTCHES + 2, bands))
    rows, cols = (np.arange(length) // BLOTCHES for length in size)
    noise = random.integers(-12, 13, (height, width, bands))
    pixels = np.clip(coarse[rows[:, None], cols] + noise, 0, 255).astype(np.uint8)
    if bands == 3:
        path = folder / "picture.jpg"
        Image.fromarray(pixels).save(path, quality=90)
    else:
        path = folder / "picture.npy"
        np.save(path, pixels)
    return path


def prepare(form: Form, picture: Path, batch: int) -> Work:
    """Run every stage once, and return them with the results that each begins with."""
    model = form.model

    def read() -> list[Pixels]:
        return [read_image(picture) for _ in range(batch)]

    def preprocess(arrays: list[Pixels]) -> Tensor:
        return torch.cat([model.preprocess(array) for array in arrays])

    def whole() -> Pixels:
        return form.segment(preprocess(read())).cpu().numpy()

    def stage(run: Callable[[], object]) -> Callable[[], object]:
        def within() -> object:
            with form.paths(), torch.inference_mode():
                return run()

        return within

    with form.paths(), torch.inference_mode():
        arrays = read()
        pixels = preprocess(arrays)
        images = form.images(pixels)
        features = model.features(images)
        summary = model.context.summarise(features)
        size = (int(images.shape[-2]), int(images.shape[-1]))
        scores = next(iter(model.classify(features, summary, size).values()))
        labels = form.labels(scores)
    runs: dict[str, Callable[[], object]] = {
        WHOLE: whole,
        "read": read,
        "preprocess": lambda: preprocess(arrays),
        "trunk": stage(lambda: model.features(form.images(pixels))),
        "context": stage(lambda: model.context.summarise(features)),
        "head": stage(lambda: model.classify(features, summary, size)),
        "labels": stage(lambda: form.labels(scores)),
    }
    weights = sum(_bytes(parameter) for parameter in model.parameters())
    maps = sum(map(_bytes, features))
    touched = {
        "preprocess": sum(array.nbytes for array in arrays) + _bytes(pixels),
        "trunk": _bytes(images) + weights + maps,
        "context": maps,
        "head": maps + _bytes(scores.scores),
        "labels": _bytes(scores.scores) + _bytes(labels),
    }
    return Work(runs, touched, images, scores, labels)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
