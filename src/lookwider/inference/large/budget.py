"""How large tiles may be: measured, so that prediction stays within a memory budget."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import torch

from lookwider.errors import ConfigError
from lookwider.inference.large.rasters import CACHE_MB
from lookwider.inference.memory import peak_while
from lookwider.inference.tiles import OwnContextPlan, TilePlan
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter

UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}

SHARE = 0.85
"""Of the budget that is planned with: memory is not freed to the last byte."""

TRIED = 0.95
"""Of the budget that a tile may take when it is tried: labels and files come on top."""

SMALLEST, LARGEST = 128, 2048
"""Sides of the made-up tiles whose memory is measured; each twice as large as the one before."""

CLEAR = 128 * 2**20
"""Bytes that a tile must take more than the one before, to tell what a pixel costs."""

DECODED = 16
"""Bytes of a pixel while Pillow decodes it."""

DECODED_PART = 3
"""The part of the budget, one in so many, that an image decoded whole may take."""

MOST_DECODED = 100_000_000
"""Pixels of an image that is decoded whole where no budget is given."""

WHOLE_BYTES = 64
"""A pixel's, for an image in one piece: the image, its labels, the overlay and their copies."""

OVERLAP = 4
"""Tiles with their own context overlap by this part of their side."""


@dataclass(frozen=True)
class Tiling:
    """When and how images are segmented in tiles.

    Attributes:
        max_memory: bytes that may be held; images that need more go in tiles.
        tile: side of the tiles; larger images go in tiles. None: as large as the memory allows.
        halo: pixels read around each tile; None for as many as it takes to be exact.
        own_context: each tile keeps its own context and they are blended, for comparison.
        processes: that share the memory evenly.

    Raises:
        ConfigError: there is nothing to choose the tiles by, or a number is not positive.
    """

    max_memory: int | None = None
    tile: int | None = None
    halo: int | None = None
    own_context: bool = False
    processes: int = 1

    def __post_init__(self) -> None:
        if self.max_memory is None and self.tile is None:
            raise ConfigError(
                "got neither max_memory nor tile, expected one of them to choose the tiles by; "
                "for instance --max-memory 4GB"
            )
        for name in ("max_memory", "tile"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"got {name}={value}, expected a positive number")

    @property
    def each(self) -> int | None:
        """Bytes that one process may hold."""
        return None if self.max_memory is None else self.max_memory // self.processes

    @property
    def whole(self) -> int:
        """How many pixels an image has at most that is decoded whole, to be copied.

        It follows from the settings alone: what is taken up again is decoded as it was.

        Example:
            >>> Tiling(tile=512).whole, Tiling(max_memory=480).whole
            (100000000, 10)
        """
        return MOST_DECODED if self.each is None else self.each // (DECODED * DECODED_PART)


@dataclass(frozen=True)
class Cost:
    """What a tile takes in memory, in bytes.

    Attributes:
        base: without any pixel: Python, the libraries, the weights.
        pixel: each pixel that goes through the network.
    """

    base: float
    pixel: float

    def pixels(self, budget: int) -> int:
        """Return how many pixels may go through the network at once."""
        return int((SHARE * budget - self.base) / self.pixel)


def parse_memory(text: str) -> int:
    """Return the bytes that a size in words means.

    Raises:
        ConfigError: it is no size.

    Example:
        >>> parse_memory("2GB"), parse_memory("1.5GiB")
        (2000000000, 1610612736)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", text)
    units = {unit.lower(): value for unit, value in UNITS.items()}
    if match is None or match[2].lower() not in units:
        raise ConfigError(f"got a memory of {text!r}, expected a size such as 500MB, 2GB or 4GiB")
    return int(float(match[1]) * units[match[2].lower()])


def measured_cost(model: Segmenter, budget: int | None = None) -> Cost:
    """Return what a tile takes, from made-up ones that grow until it is clear.

    Args:
        model: on the device to compute on.
        budget: a larger tile is not tried when it would take more.

    Raises:
        ConfigError: the system does not tell how much memory a process holds.
    """
    tile_memory(model, (SMALLEST, SMALLEST))  # what is loaded and prepared once is held from here
    side, held = SMALLEST, tile_memory(model, (SMALLEST, SMALLEST))
    pixel = 0.0
    while side < LARGEST:
        larger = tile_memory(model, (2 * side, 2 * side))
        pixel, base = _line(model, (side, held), (2 * side, larger))
        if larger - held >= CLEAR:
            break
        side, held = 2 * side, larger
        if budget is not None and base + pixel * (2 * side) ** 2 > budget:
            break
    return Cost(base, pixel)


def _line(model: Segmenter, one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float]:
    """Return the slope and start of the line through two tiles' memory.

    No pixel takes less than the input of the network and one value as large per class.
    """
    least = 4 * (model.preprocessing.in_channels + 1)
    pixel = max((other[1] - one[1]) / (other[0] ** 2 - one[0] ** 2), least)
    return pixel, max(other[1] - pixel * other[0] ** 2, 0.0)


def tile_memory(model: Segmenter, size: tuple[int, int]) -> int:
    """Return the most bytes held while a made-up tile of this size is segmented.

    Raises:
        ConfigError: the system does not tell.
    """

    def segment() -> None:
        # Ones: memory of zeros is not held before it is written to.
        pixels = np.ones((*size, model.preprocessing.in_channels), np.float32)
        with evaluating(model), torch.inference_mode():
            scores = next(iter(model.scores(model.preprocess(pixels)).values()))
            scores.labels().cpu()

    peak = peak_while(segment, model.device)
    if peak is None:
        raise ConfigError(
            "this system does not tell how much memory a process holds, so --max-memory cannot be "
            "kept to; give the size of the tiles instead: --tile 1024"
        )
    return peak + CACHE_MB * 2**20


def fits_whole(cost: Cost, size: tuple[int, int], budget: int) -> bool:
    """Return whether an image may go through in one piece.

    Example:
        >>> fits_whole(Cost(base=10, pixel=936), (10, 10), 10**6)
        True
    """
    return cost.base + (cost.pixel + WHOLE_BYTES) * size[0] * size[1] <= SHARE * budget


def chosen_tile(model: Segmenter, size: tuple[int, int], tiling: Tiling, cost: Cost) -> int:
    """Return the side of an image's tiles: the largest, or the one given where that fits.

    Raises:
        ConfigError: the budget is too small, for the tile given or for any.
    """
    largest = largest_tile(model, size, tiling, cost)
    if tiling.tile is None or min(tiling.tile, max(size)) <= largest:
        return tiling.tile or largest
    raise ConfigError(
        f"got tiles of {tiling.tile} pixels, which with all that they read need more than a "
        f"memory of {(tiling.max_memory or 0) / 1e9:.2f} GB; expected at most --tile {largest}, or "
        "leave out one of the two"
    )


def largest_tile(model: Segmenter, size: tuple[int, int], tiling: Tiling, cost: Cost) -> int:
    """Return the largest side of tiles that keeps to the budget: planned, then tried.

    Raises:
        ConfigError: the budget is too small for the smallest tile with its halo.
    """
    budget = tiling.each
    if budget is None:
        raise ConfigError("got no max_memory, expected one to choose the tiles by")
    pixels = cost.pixels(budget)
    step = int(model.segmentation_heads()[0].grid.stride)

    def used(side: int) -> float:
        plan = make_plan(model, size, side, tiling)
        return math.prod(plan.largest_window) + _band(model, plan) / cost.pixel

    most = max(size)
    while most >= step:
        low, high = 0, -(-min(most, math.isqrt(max(pixels, 0))) // step) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if used(middle * step) <= pixels else (low, middle)
        most = low * step
        if low:
            plan = make_plan(model, size, most, tiling)
            if tile_memory(model, plan.largest_window) + _band(model, plan) <= TRIED * budget:
                return most
            pixels = int(SHARE * used(most))
    needed = tiling.processes * (cost.base + cost.pixel * used(step)) / SHARE
    shared = "" if tiling.processes == 1 else f" for {tiling.processes} processes"
    raise ConfigError(
        f"got a memory of {(tiling.max_memory or 0) / 1e9:.2f} GB{shared}, expected at least "
        f"{needed / 1e9:.2f} GB, which the network and the smallest tile with all that it reads "
        "need; give more, or accept other scores with a smaller halo: --halo 64"
    )


def make_plan(
    model: Segmenter, size: tuple[int, int], tile: int, tiling: Tiling
) -> TilePlan | OwnContextPlan:
    """Return the tiles of an image.

    Raises:
        ConfigError: no tile gives the scores of the whole image.
    """
    sides = (min(tile, size[0]), min(tile, size[1]))
    if tiling.own_context:
        return OwnContextPlan.for_size(size, tile=sides, overlap=min(sides) // OVERLAP)
    return TilePlan.for_model(model, size, tile=sides, halo=tiling.halo)


def _band(model: Segmenter, plan: TilePlan | OwnContextPlan) -> int:
    """Return the bytes of the blended probabilities: a row of tiles, and its successor."""
    if isinstance(plan, TilePlan):
        return 0
    return 2 * 4 * model.num_classes * plan.size[1] * plan.largest_window[0]
