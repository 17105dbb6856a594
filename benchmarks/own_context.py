"""How much worse tiles are that keep their own context, on built-in scenes and mosaics of photos.

``python benchmarks/own_context.py RUN... [--data FOLDER] [--images 50] [--tiles 64,48]`` prints a
Markdown table: mean IoU of one piece, of tiles with the whole image's context, and of blended
tiles with their own. Without ``--data`` the built-in test scenes are segmented; of a folder such as
CamVid's each image is a mosaic of 2 x 2 images of its test split.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import lookwider as lw
from lookwider.data import SceneDataset, open_dataset
from lookwider.evaluation.metrics import confusion_counts, mean_iou
from lookwider.inference.tiles import OwnContextPlan, predict_tiled
from lookwider.models import Segmenter

Pair = tuple[npt.NDArray[np.generic], npt.NDArray[np.uint8]]


def pictures(data: Path | None, count: int) -> Iterator[Pair]:
    """Yield images and their labels."""
    if data is None:
        for sample in SceneDataset.split("test", count=count, size=(96, 128)):
            yield sample.image, sample.label
        return
    photos = open_dataset(data, split="test")
    apart = len(photos) // (4 * count)
    for i in range(count):
        four = [photos[(4 * i + j) * max(apart, 1)] for j in range(4)]
        yield (
            np.concatenate([np.concatenate([s.image for s in four[r : r + 2]], 1) for r in (0, 2)]),
            np.concatenate([np.concatenate([s.label for s in four[r : r + 2]], 1) for r in (0, 2)]),
        )


def with_own_context(model: Segmenter, image: npt.NDArray[np.generic], side: int) -> Tensor:
    """Return the labels that blended tiles of this side give."""
    size = (int(image.shape[0]), int(image.shape[1]))
    plan = OwnContextPlan.for_size(size, tile=(side, side), overlap=side // 4)
    labels = torch.empty(size, dtype=torch.int64)
    for tile, shares in plan.blended(model, lambda t: model.preprocess(image[t.window])):
        labels[tile.core] = shares[0].argmax(0)
    return labels


def scores(model: Segmenter, data: Path | None, count: int, sides: list[int]) -> list[float]:
    """Return the mean IoU of one piece, of exact tiles, and of tiles with their own context."""
    totals = [torch.zeros(model.num_classes, model.num_classes, dtype=torch.int64)] * (
        2 + len(sides)
    )
    for image, label in pictures(data, count):
        found = [
            torch.from_numpy(model.predict(image).labels),
            torch.from_numpy(predict_tiled(model, image, tile=(sides[0], sides[0])).labels),
            *(with_own_context(model, image, side) for side in sides),
        ]
        truth = torch.from_numpy(label)
        totals = [
            total + confusion_counts(truth, labels, model.num_classes)
            for total, labels in zip(totals, found, strict=True)
        ]
    return [100 * mean_iou(total) for total in totals]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--tiles", default="64,48")
    arguments = parser.parse_args()
    sides = [int(side) for side in arguments.tiles.split(",")]
    own = " | ".join(f"own context, {side} pixels" for side in sides)
    print(f"| run | one piece | tiles of {sides[0]}, whole context | {own} |")
    print("|---|" + "---:|" * (2 + len(sides)))
    for run in arguments.runs:
        found = scores(lw.load(run), arguments.data, arguments.images, sides)
        print(f"| {run} | " + " | ".join(f"{score:.1f}" for score in found) + " |", flush=True)


if __name__ == "__main__":
    main()
