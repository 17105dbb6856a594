"""What the network does for requests: several images of one size at once, or one in tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from lookwider.errors import ConfigError
from lookwider.inference.large.budget import SHARE, Tiling, make_plan, measured_cost
from lookwider.inference.memory import memory_advice
from lookwider.inference.tiles import TilePlan
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter
from lookwider.scores import ScoreMap

Pixels = npt.NDArray[np.generic]

LEAST_PIXEL_BYTES = 500
"""A pixel takes no less in any network here; what is measured beside other work may say so."""

STRIP_NUMBERS = 8_000_000
"""Probabilities of all classes that are held at once."""

SMALLEST_TILE = 64

UNMEASURED_PIXELS = 2_000_000
"""At once, on systems that do not tell how much memory a process holds."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a network says of an image.

    Attributes:
        labels: (H, W) class ids.
        confidence: (K,) mean probability of each class over the pixels that are labelled as it,
            nan where there are none; None where it was not asked for.
        tiles: in how many parts the image went through.
    """

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.float64] | None
    tiles: int = 1


def pixels_at_once(model: Segmenter, max_memory: int) -> int:
    """Return how many pixels the network takes within a memory, from made-up images."""
    try:
        cost = measured_cost(model, max_memory)
    except ConfigError:
        return UNMEASURED_PIXELS
    return int(SHARE * max_memory / max(cost.pixel, LEAST_PIXEL_BYTES))


def segment_together(
    model: Segmenter, images: Sequence[Pixels], confidence: Sequence[bool]
) -> list[Segmentation]:
    """Segment images of one size and number of bands in one go.

    Args:
        model: on the device to compute on.
        images: each (H, W, C).
        confidence: whether it is wanted, for each.

    Raises:
        LookwiderError: the bands are not the model's, or the memory is too small.
    """
    with memory_advice("image"), evaluating(model), torch.inference_mode():
        batch = torch.cat([model.preprocess(image) for image in images])
        scores = next(iter(model.scores(batch).values()))
        labels = scores.labels().cpu().numpy()
        found = []
        for number, wanted in enumerate(confidence):
            one = ScoreMap(scores.scores[number : number + 1], scores.rows, scores.cols)
            mean = None
            if wanted:
                sums = confidence_sums(one, labels[number])
                mean = _mean(sums, labels[number])
            found.append(Segmentation(labels[number], mean))
    return found


def segment_in_tiles(
    model: Segmenter,
    image: Pixels,
    most_pixels: int,
    confidence: bool,
    check: Callable[[], None],
) -> Segmentation:
    """Segment one large image in tiles, with the whole image's context: the same labels.

    Args:
        model: on the device to compute on.
        image: (H, W, C).
        most_pixels: that go through the network at once.
        confidence: whether it is wanted.
        check: called before each tile; raises what is to stop the work.

    Raises:
        ConfigError: no tile of so few pixels gives the scores of the whole image.
        LookwiderError: the bands are not the model's, or the memory is too small.
    """
    size = (int(image.shape[0]), int(image.shape[1]))
    plan = fitting_plan(model, size, most_pixels)
    labels = np.empty(size, np.uint8)
    sums = np.zeros(model.num_classes)

    def window(place: tuple[slice, slice]) -> torch.Tensor:
        check()
        return model.preprocess(image[place])

    with memory_advice("image"), torch.inference_mode():
        summary = None
        if plan.passes > 1:
            summary = plan.merged(
                plan.summarise(model, tile, window(tile.window)) for tile in plan.tiles
            )
        for tile in plan.tiles:
            scores = plan.scores(model, tile, window(tile.window), summary)
            labels[tile.core] = scores.labels()[0].cpu().numpy()
            if confidence:
                sums += confidence_sums(scores, labels[tile.core])
    mean = _mean(sums, labels) if confidence else None
    return Segmentation(labels, mean, len(plan.tiles))


def fitting_plan(model: Segmenter, size: tuple[int, int], most_pixels: int) -> TilePlan:
    """Return the largest tiles, halved until no window has more pixels than that.

    Raises:
        ConfigError: there are none.
    """
    side = max(size) // 2
    while side >= SMALLEST_TILE:
        plan = make_plan(model, size, side, Tiling(tile=side))
        assert isinstance(plan, TilePlan)
        height, width = plan.largest_window
        if height * width <= most_pixels:
            return plan
        side //= 2
    raise ConfigError(
        f"got an image of {size[0]} x {size[1]} pixels, expected one whose smallest tile, with "
        f"all that it depends on, is at most {most_pixels:,} pixels; make it smaller"
    )


def confidence_sums(scores: ScoreMap, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return, for each class, the sum of its probability over the pixels labelled as it.

    Rows go through in strips, so that the probabilities of all classes are never held at once.

    Shape:
        scores of one image, labels (H, W) -> (K,).
    """
    height, width = scores.size
    strip = max(1, STRIP_NUMBERS // (scores.num_classes * width))
    total = torch.zeros(scores.num_classes, dtype=torch.float64)
    for top in range(0, height, strip):
        place, rows = scores.rows[top : top + strip].narrowed()
        part = ScoreMap(scores.scores[..., place, :], rows, scores.cols)
        index = torch.from_numpy(labels[top : top + strip].astype(np.int64))
        shares = part.probabilities()[0].cpu().gather(0, index[None])[0]
        total.index_add_(0, index.ravel(), shares.ravel().double())
    return total.numpy()


def _mean(sums: npt.NDArray[np.float64], labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    counts = np.bincount(labels.ravel(), minlength=len(sums))
    mean: npt.NDArray[np.float64] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return mean
