"""What the demo shows: scenes that no system has seen, and one in another one's context."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lookwider.data import SceneDataset
from lookwider.data.scenes import scene
from lookwider.errors import DataError
from lookwider.images import write_image
from lookwider.inference.predictor import find_images, predict_files
from lookwider.predictions import label_path
from lookwider.probes.network import Network
from lookwider.probes.swap import ContextSwap, OtherImage, swap_context
from lookwider.report.parts import Shown
from lookwider.report.run_report import RunReport
from lookwider.weights.checkpoint import load

SHOWN: tuple[tuple[int, str], ...] = (
    (0, "lake"),
    (0, "road"),
    (1, "street"),
    (1, "skyline"),
    (2, "bedroom"),
)
"""Number and kind of the scenes to predict: one number's blobs in two surroundings."""

SWAPPED = ("road", "lake")
"""The kind of scene whose context is replaced, and the kind whose context it gets."""


def write_scenes(
    runs: Sequence[RunReport],
    test: SceneDataset,
    scenes: Path,
    predictions: Path,
    device: torch.device,
) -> tuple[Shown, ...]:
    """Write scenes as image files, predict these as ``lookwider predict`` does, read the results.

    Args:
        runs: that predict.
        test: gives the seed and size of the scenes.
        scenes: folder of the images.
        predictions: folder of the results, one folder per run.
        device: where to compute.

    Raises:
        DataError: one could not be predicted.
    """
    painted = {kind: scene(test.seed, i, test.size, kind=kind) for i, kind in SHOWN}
    for name, picture in painted.items():
        write_image(scenes / f"{name}.png", Image.fromarray(picture.image))
    images = find_images([scenes / f"{name}.png" for name in painted])
    for run in runs:
        model = load(run.folder, device=device)
        report = predict_files(model, images, predictions / run.folder.name, show=False)
        if report.failed:
            raise DataError(report.failed[0].reason)
    return tuple(
        Shown(
            name,
            picture.image,
            picture.label,
            tuple(_read(label_path(predictions / run.folder.name, name)) for run in runs),
        )
        for name, picture in painted.items()
    )


def _read(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(path) as file:
        return np.array(file)


def swap_scene(
    runs: Sequence[RunReport], test: SceneDataset, device: torch.device
) -> ContextSwap | None:
    """Put a lake's context on the road with the same blobs, in the last run that has a context.

    Returns:
        What changed; None when no run has a context.
    """
    road, lake = (scene(test.seed, 0, test.size, kind=kind) for kind in SWAPPED)
    for run in reversed(runs):
        if run.reliance is None:
            continue
        network = Network(load(run.folder, device=device), name=run.name)
        replacement = OtherImage(lake.image, "a lake's")
        return swap_context(network, road.image, replacement, name="road")
    return None
