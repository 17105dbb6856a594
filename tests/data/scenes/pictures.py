"""Scenes for tests: what is in them, and classifiers of small windows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from lookwider.data.scenes import Scene
from lookwider.data.scenes.classes import SceneClass

PAIRS = [("lake", "road"), ("skyline", "street")]
SMALL = (64, 80)


def blobs(picture: Scene) -> Iterator[tuple[np.ndarray, float]]:
    """Yield the mask of each boat or car, and its height in pixels."""
    parts, count = ndimage.label(np.isin(picture.label, [SceneClass.BOAT, SceneClass.CAR]))
    for i, box in enumerate(ndimage.find_objects(parts), start=1):
        assert i <= count
        yield parts == i, box[0].stop - box[0].start


def windows(pictures: list[Scene], radius: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one window centred in each scene's first blob, and 1 where it is a car."""
    found, truth = [], []
    for picture in pictures:
        mask, _ = next(blobs(picture))
        rows, columns = np.nonzero(mask)
        at = {
            "middle": (int(rows.mean()), int(columns.mean())),
            "end": (int(rows[columns.argmin()]), int(columns.min())),
            "top": (int(rows.min()), int(columns[rows.argmin()])),
        }[where]
        padded = np.pad(picture.image, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
        found.append(padded[at[0] : at[0] + 2 * radius + 1, at[1] : at[1] + 2 * radius + 1])
        truth.append(int(picture.kind == "road"))
    return np.stack(found).reshape(len(found), -1) / 255, np.array(truth)


def nearest(train: np.ndarray, truth: np.ndarray, test: np.ndarray) -> np.ndarray:
    return truth[cKDTree(train).query(test)[1]]


def linear(train: np.ndarray, truth: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Ridge regression on +-1."""
    mean = train.mean(0)
    centred = train - mean
    kernel = centred @ centred.T + np.eye(len(train))
    weights = centred.T @ np.linalg.solve(kernel, 2.0 * truth - 1)
    return ((test - mean) @ weights > 0).astype(int)
