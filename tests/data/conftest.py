"""Tiny data sets on disk, for the readers and the data doctor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Put = Callable[..., np.ndarray]


@pytest.fixture
def put() -> Put:
    """Return a writer of image files: ``put(path, array, palette=None)`` returns the array."""

    def write(path: Path, array: np.ndarray, palette: list[int] | None = None) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(array)
        if palette is not None:
            image.putpalette(palette)
        image.save(path)
        return array

    return write


@pytest.fixture
def photo() -> Callable[..., np.ndarray]:
    """Return a maker of images: ``photo(seed, height=6, width=8)``."""

    def make(seed: int = 0, height: int = 6, width: int = 8) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)

    return make


@pytest.fixture
def folder(tmp_path: Path, put: Put, photo: Callable[..., np.ndarray]) -> Path:
    """Return a good folder of four images and labels of classes 0, 1, 2 and ignore."""
    for i in range(4):
        put(tmp_path / "images" / f"{i}.png", photo(i))
        label = np.full((6, 8), i % 3, np.uint8)
        label[0, 0], label[1, 1] = 255, (i + 1) % 3
        put(tmp_path / "labels" / f"{i}.png", label)
    return tmp_path
