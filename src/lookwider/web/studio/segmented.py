"""Segment an image for looking at: labels, and the likeliest classes of every pixel."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lookwider.classes import Classes
from lookwider.inference.memory import memory_advice
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter
from lookwider.predictions import Prediction
from lookwider.scores import ScoreMap
from lookwider.web.computing import STRIP_NUMBERS, fitting_plan

RANKS = 3
"""Classes that are kept of every pixel, the likeliest first."""

WHOLE_PIXELS = 1_500_000
"""Larger images go in tiles, so that there is progress to see and a moment to stop."""

WINDOW_PIXELS = 6_000_000
"""That a tile reads at most, with all around it that it depends on."""

Pixels = npt.NDArray[np.generic]
Ranks = npt.NDArray[np.uint8]

Tell = Callable[[float, str], None]
"""Told the share that is done, and what is being done; what it raises stops the work."""

Turn = Callable[[], AbstractContextManager[None]]
"""Gives the device to one computation at a time."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """One image as one network sees it.

    Attributes:
        prediction: labels, classes, name and image.
        ranked: (R, H, W) uint8 class ids, the likeliest first; the first are the labels.
        shares: (R, H, W) uint8 their probabilities, in 255ths.
        tiles: how many the image was cut into; 1 for none.
    """

    prediction: Prediction
    ranked: Ranks
    shares: Ranks
    tiles: int = 1

    @property
    def classes(self) -> Classes:
        """What the network tells apart."""
        return self.prediction.classes

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image."""
        height, width = self.prediction.labels.shape
        return height, width

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, without the image."""
        return self.prediction.labels.nbytes + self.ranked.nbytes + self.shares.nbytes

    @cached_property
    def areas(self) -> dict[str, float]:
        """Each class's share of the image; see `Prediction.areas`."""
        return self.prediction.areas()

    @cached_property
    def mean_confidence(self) -> float:
        """Mean probability of the labels."""
        return float(self.shares[0].mean(dtype=np.float64) / 255)

    def likeliest(self, row: int, col: int) -> list[tuple[int, float]]:
        """Return the likeliest classes of a pixel with their probabilities."""
        ids, shares = self.ranked[:, row, col].tolist(), self.shares[:, row, col].tolist()
        return [(k, share / 255) for k, share in zip(ids, shares, strict=True)]


def segment(
    model: Segmenter,
    image: Pixels,
    name: str = "image",
    *,
    whole_pixels: int = WHOLE_PIXELS,
    window_pixels: int = WINDOW_PIXELS,
    turn: Turn = nullcontext,
    tell: Tell = lambda share, words: None,
) -> Segmented:
    """Segment an image, in tiles when it is large; labels are those of `Segmenter.predict`.

    Args:
        model: on the device to compute on.
        image: (H, W, C) in RGB order.
        name: of the image, without extension.
        whole_pixels: larger images go in tiles.
        window_pixels: that a tile may read.
        turn: held while the network computes; between tiles others may.
        tell: told how far it is.

    Raises:
        ConfigError: the image is large, and no tile gives the scores of the whole of it.
        LookwiderError: the image has other bands than the model, or is too large for the memory.
    """
    if image.shape[0] * image.shape[1] > whole_pixels:
        return _in_tiles(model, image, name, window_pixels, turn, tell)
    tell(0.0, "segmenting")
    with turn(), evaluating(model), torch.inference_mode(), memory_advice(name):
        scores = next(iter(model.scores(model.preprocess(image)).values()))
        labels, ranked, shares = ranked_scores(scores)
    return Segmented(Prediction(labels, model.classes, name, image), ranked, shares)


def ranked_scores(scores: ScoreMap, number: int = RANKS) -> tuple[Ranks, Ranks, Ranks]:
    """Return the labels of one image's scores, and what `ranks` gives for them.

    Rows go through in strips, so that the probabilities of all classes are never held at once.

    Shape:
        scores of one image -> (H, W), (R, H, W) and (R, H, W) uint8.
    """
    height, width = scores.size
    labels = scores.labels()[0]
    strip = max(1, STRIP_NUMBERS // (scores.num_classes * width))
    found = []
    for top in range(0, height, strip):
        place, rows = scores.rows[top : top + strip].narrowed()
        part = ScoreMap(scores.scores[..., place, :], rows, scores.cols)
        found.append(ranks(labels[top : top + strip], part.probabilities()[0], number))
    ids, shares = (np.concatenate(strips, axis=1) for strips in zip(*found, strict=True))
    return labels.cpu().numpy(), ids, shares


def ranks(labels: Tensor, probabilities: Tensor, number: int = RANKS) -> tuple[Ranks, Ranks]:
    """Return the likeliest classes of every pixel, the label first, and their probabilities.

    Args:
        labels: the classes of the highest scores.
        probabilities: of all classes; they are overwritten.
        number: of ranks; fewer where there are not so many classes.

    Shape:
        (H, W) and (K, H, W) -> both (R, H, W) uint8, the probabilities in 255ths.

    Example:
        >>> ids, shares = ranks(torch.tensor([[1]]), torch.tensor([[[0.2]], [[0.6]], [[0.2]]]))
        >>> ids.ravel().tolist(), shares.ravel().tolist()
        ([1, 0, 2], [153, 51, 51])
    """
    ids = [labels.long()]
    shares = [probabilities.gather(0, ids[0][None])[0]]
    for _ in range(min(number, len(probabilities)) - 1):
        probabilities.scatter_(0, ids[-1][None], -1.0)  # passed over from now on
        share, likeliest = probabilities.max(0)
        ids.append(likeliest)
        shares.append(share)
    parts = (torch.stack(shares) * 255).round().to(torch.uint8)
    return torch.stack(ids).to(torch.uint8).cpu().numpy(), parts.cpu().numpy()


def _in_tiles(
    model: Segmenter, image: Pixels, name: str, window_pixels: int, turn: Turn, tell: Tell
) -> Segmented:
    """Segment tile by tile, each with the context of the whole image."""
    size = (int(image.shape[0]), int(image.shape[1]))
    number = min(RANKS, model.num_classes)
    labels = np.empty(size, np.uint8)
    ranked, shares = (np.empty((number, *size), np.uint8) for _ in range(2))
    tell(0.0, "cutting the image into tiles")
    plan = fitting_plan(model, size, window_pixels)
    tiles = len(plan.tiles)
    parts = []
    with torch.inference_mode(), memory_advice(name):
        for tile in plan.tiles if plan.passes > 1 else ():
            tell(tile.index / (2 * tiles), f"summarising tile {tile.index + 1} of {tiles}")
            with turn():
                parts.append(plan.summarise(model, tile, model.preprocess(image[tile.window])))
        summary = plan.merged(parts) if parts else None
        for tile in plan.tiles:
            done = (len(parts) + tile.index) / (plan.passes * tiles)
            tell(done, f"segmenting tile {tile.index + 1} of {tiles}")
            with turn():
                pixels = model.preprocess(image[tile.window])
                found = ranked_scores(plan.scores(model, tile, pixels, summary))
            labels[tile.core] = found[0]
            ranked[:, *tile.core], shares[:, *tile.core] = found[1:]
    return Segmented(Prediction(labels, model.classes, name, image), ranked, shares, tiles)
