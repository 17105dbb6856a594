"""Sliding windows over one image: where they lie, and the mean of what they say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

Padding = Literal["after", "around"]
"""Where an image that is smaller than the window is padded: after it, or on both sides."""

Classify = Callable[[Tensor], Mapping[str, Tensor]]
"""A function (N, C, H, W) -> (N, K, H, W) by head."""


def window_starts(length: int, window: int, stride: int) -> tuple[int, ...]:
    """Return where the windows along one axis begin; the last is moved back to end with the axis.

    Example:
        >>> window_starts(897, 473, 316)
        (0, 316, 424)
    """
    count = math.ceil(max(0, length - window) / stride) + 1
    return tuple(min(i * stride, max(0, length - window)) for i in range(count))


@dataclass(frozen=True)
class WindowGrid:
    """The windows over an image, in pixels of the padded image.

    Attributes:
        size: (height, width) of the image.
        window: (height, width) of every window.
        rows: where they begin, from the top.
        cols: where they begin, from the left.
        offset: rows and columns padded before the image.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    offset: tuple[int, int] = (0, 0)

    @classmethod
    def whole(cls, size: tuple[int, int]) -> WindowGrid:
        """One window, the image itself."""
        return cls(size, size, (0,), (0,))

    @classmethod
    def sliding(
        cls,
        size: tuple[int, int],
        window: tuple[int, int],
        stride_rate: float = 2 / 3,
        padding: Padding = "after",
    ) -> WindowGrid:
        """Windows with a stride of ``ceil(window * stride_rate)``, as PSPNet's released test.

        Example:
            >>> WindowGrid.sliding((193, 513), (473, 473)).cols
            (0, 40)
        """
        rows, cols = (
            window_starts(length, side, math.ceil(side * stride_rate))
            for length, side in zip(size, window, strict=True)
        )
        missing = [max(0, side - length) for length, side in zip(size, window, strict=True)]
        before = [pixels // 2 if padding == "around" else 0 for pixels in missing]
        return cls(size, window, rows, cols, (before[0], before[1]))

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    @property
    def padded(self) -> tuple[int, int]:
        """(height, width) of the padded image."""
        return max(self.size[0], self.window[0]), max(self.size[1], self.window[1])

    def places(self) -> list[tuple[slice, slice]]:
        """Return rows and columns of every window, in reading order."""
        height, width = self.window
        return [
            (slice(top, top + height), slice(left, left + width))
            for top, left in itertools.product(self.rows, self.cols)
        ]


def window_probabilities(
    classify: Classify,
    image: Tensor,
    grid: WindowGrid,
    *,
    batch_size: int = 1,
    on_windows: Callable[[int], None] | None = None,
) -> dict[str, Tensor]:
    """Return the mean, at each pixel, of the probabilities of the windows that hold it.

    The sums are in the type of the probabilities, where they are.

    Args:
        classify: windows to probabilities by head.
        image: normalised, so that the mean colour is zero; padded with it.
        grid: where the windows lie.
        batch_size: so many windows go through at once.
        on_windows: called with the number of windows that were just done.

    Shape:
        (C, H, W) -> (K, H, W) by head.
    """
    (top, left), (height, width) = grid.offset, grid.padded
    bottom, right = height - grid.size[0] - top, width - grid.size[1] - left
    padded = functional.pad(image, (left, right, top, bottom))
    sums: dict[str, Tensor] = {}
    places = grid.places()
    for start in range(0, len(places), batch_size):
        chosen = places[start : start + batch_size]
        windows = padded.new_empty(len(chosen), padded.shape[0], *grid.window)
        for i, (rows, cols) in enumerate(chosen):
            windows[i] = padded[:, rows, cols]
        for head, maps in classify(windows).items():
            if head not in sums:
                sums[head] = maps.new_zeros(maps.shape[1], height, width)
            for (rows, cols), found in zip(chosen, maps, strict=True):
                sums[head][:, rows, cols] += found
        if on_windows is not None:
            on_windows(len(chosen))
    counts = padded.new_zeros(height, width)
    for rows, cols in places:
        counts[rows, cols] += 1
    inner = (slice(top, top + grid.size[0]), slice(left, left + grid.size[1]))
    return {head: total[:, *inner] / counts[inner].to(total.dtype) for head, total in sums.items()}
