"""Tiled prediction of images that are in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lookwider.inference.multiscale import labels_of
from lookwider.inference.tiles.own_context import OwnContextPlan
from lookwider.inference.tiles.plan import Tile, TilePlan
from lookwider.models import Segmenter
from lookwider.models.segmenter import ImageLike, image_array
from lookwider.predictions import Prediction
from lookwider.scores import ScoreMap


def tiled_scores(
    model: Segmenter, images: Tensor, plan: TilePlan
) -> Iterator[tuple[Tile, ScoreMap]]:
    """Yield the scores of every tile's core, in reading order.

    Args:
        model: that the plan is for.
        images: preprocessed.
        plan: for images of this size.

    Shape:
        (N, C, H, W).
    """
    summary = None
    if plan.passes > 1:
        summary = plan.merged(
            plan.summarise(model, tile, images[..., *tile.window]) for tile in plan.tiles
        )
    for tile in plan.tiles:
        yield tile, plan.scores(model, tile, images[..., *tile.window], summary)


def predict_tiled(
    model: Segmenter,
    image: ImageLike,
    *,
    tile: tuple[int, int],
    halo: int | None = None,
    own_context: bool = False,
    probabilities: bool = False,
) -> Prediction:
    """Segment one image tile by tile: as `Segmenter.predict`, with less memory for the network.

    Args:
        model: on the device to compute on.
        image: a path, a PIL image, or an (H, W, C) array in RGB order.
        tile: (height, width) of what one tile answers for; with its own context, of what it sees.
        halo: pixels read around each tile, see `TilePlan.for_model`; with their own context,
            pixels by which tiles overlap, a quarter of a tile when not given.
        own_context: each tile keeps its own context, and they are blended, for comparison.
        probabilities: also return the probability of every class at every pixel.

    Raises:
        ConfigError: no tile gives the scores of the whole image.
        LookwiderError: the image cannot be read or has other bands than the model.
    """
    array = image_array(image)
    size = (int(array.shape[0]), int(array.shape[1]))
    labels = np.empty(size, np.uint8)
    shares = np.empty((model.num_classes, *size), np.float32) if probabilities else None
    with torch.inference_mode():
        pixels = model.preprocess(array)
        if own_context:
            overlap = min(tile) // 4 if halo is None else halo
            own = OwnContextPlan.for_size(size, tile=tile, overlap=overlap)
            for part, found in own.blended(model, lambda t: pixels[..., *t.window]):
                labels[part.core] = labels_of(found[0]).numpy()
                if shares is not None:
                    shares[:, *part.core] = found[0].numpy()
        else:
            plan = TilePlan.for_model(model, size, tile=tile, halo=halo)
            for part, scores in tiled_scores(model, pixels, plan):
                labels[part.core] = scores.labels()[0].cpu().numpy()
                if shares is not None:
                    shares[:, *part.core] = scores.probabilities()[0].cpu().numpy()
    name = Path(image).stem if isinstance(image, (str, os.PathLike)) else "image"
    return Prediction(
        labels=labels, classes=model.classes, name=name, image=array, probabilities=shares
    )
