"""Drawing for the built-in scenes: a canvas with smooth colours and crisp labels, and noise.

Everything here uses additions, products, quotients, square roots and comparisons only, which
IEEE 754 rounds the same way everywhere. Sines, powers and matrix products are avoided because
their last bit depends on the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.floating[Any]]
"""Arrays of float32; NumPy's stubs cannot see that arithmetic with Python numbers keeps it."""

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Window:
    """A part of a canvas: slices, and the centres of its pixels.

    Attributes:
        rows: rows of the canvas.
        columns: columns of the canvas.
        y: (h, 1) centres of the rows in pixels.
        x: (1, w) centres of the columns in pixels.
    """

    rows: slice
    columns: slice
    y: F32
    x: F32

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels; 0 where nothing of it is on the canvas."""
        return self.y.shape[0], self.x.shape[1]


class Canvas:
    """A picture in the making.

    Attributes:
        height: H in pixels.
        width: W in pixels.
        unit: the length that objects are measured in, min(H, 0.8 W).
        image: (3, H, W) float32, 0 to 1; colour planes, which NumPy blends fastest.
        label: (H, W) uint8.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.height, self.width = size
        self.unit = min(float(self.height), 0.8 * self.width)
        self.image: F32 = np.zeros((3, *size), np.float32)
        self.label = np.zeros(size, np.uint8)
        self._y = (np.arange(self.height, dtype=np.float32) + 0.5)[:, None]
        self._x = (np.arange(self.width, dtype=np.float32) + 0.5)[None, :]

    def window(
        self,
        top: float = 0.0,
        bottom: float | None = None,
        left: float = 0.0,
        right: float | None = None,
    ) -> Window:
        """Return the part between these pixel positions, one pixel wider, cut to the canvas."""
        bottom = self.height if bottom is None else bottom
        right = self.width if right is None else right
        rows = slice(*_span(top, bottom, self.height))
        columns = slice(*_span(left, right, self.width))
        return Window(rows, columns, self._y[rows], self._x[:, columns])

    def paint(
        self, window: Window, coverage: F32, colour: Sequence[float] | F32, label: int | None = None
    ) -> None:
        """Blend a colour in; pixels that are more than half covered take the label.

        Where the coverage is 1 the result is the colour to the last bit, whatever was there.

        Args:
            window: where.
            coverage: (h, w) or broadcastable, 0 to 1.
            colour: three numbers, or planes (3, h, w) or broadcastable.
            label: a class id, or None to keep the labels.
        """
        planes = colour if isinstance(colour, np.ndarray) else rgb(colour)
        part = self.image[:, window.rows, window.columns]
        part *= 1 - coverage
        part += planes * coverage
        if label is not None:
            part_label = self.label[window.rows, window.columns]
            np.copyto(part_label, np.uint8(label), where=coverage > 0.5)

    def fill(self, window: Window, colour: F32, label: int) -> None:
        """Cover a part wholly with colour planes (3, h, w), or broadcastable, and a label."""
        self.image[:, window.rows, window.columns] = colour
        self.label[window.rows, window.columns] = label

    def finish(self) -> npt.NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8."""
        pixels = (np.clip(self.image, 0, 1) * 255 + 0.5).astype(np.uint8)
        return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _span(start: float, stop: float, limit: int) -> tuple[int, int]:
    first = min(max(int(start) - 1, 0), limit)
    return first, max(first, min(max(int(stop) + 2, 0), limit))


def rgb(colour: Sequence[float]) -> F32:
    """Return a colour as planes (3, 1, 1)."""
    return np.array(colour, np.float32)[:, None, None]


def mix(first: Sequence[float], second: Sequence[float], share: float) -> Rgb:
    """Return the colour that is ``share`` of the way from the first to the second.

    Example:
        >>> mix((0, 0, 0), (1, 0.5, 0), 0.5)
        (0.5, 0.25, 0.0)
    """
    red, green, blue = (a * (1 - share) + b * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def tinted(colour: Sequence[float], tint: Sequence[float]) -> Rgb:
    """Return the colour under a light of this tint."""
    red, green, blue = (a * b for a, b in zip(colour, tint, strict=True))
    return red, green, blue


def edge(distance: F32) -> F32:
    """Return the coverage of pixels at this signed distance inside an edge, in pixels."""
    cover: F32 = np.minimum(np.maximum(distance + 0.5, 0), 1)
    return cover


def smooth(values: F32, low: float, high: float) -> F32:
    """Return 0 below ``low``, 1 above ``high`` and a smooth step between (low > high falls)."""
    t: F32 = np.minimum(np.maximum((values - low) / (high - low), 0), 1)
    return t * t * (3 - 2 * t)


def wave(turns: F32) -> F32:
    """Return a sine-like wave of period 1 and amplitude 1, made of parabolas.

    Example:
        >>> wave(np.array([0, 0.25, 0.75, 1], np.float32)).tolist()
        [0.0, 1.0, -1.0, 0.0]
    """
    t = turns - np.floor(turns)
    sign = np.where(t < 0.5, np.float32(1), np.float32(-1))
    half = np.minimum(t, 1 - t)
    return sign * half * (0.5 - half) * 16


def lattice(rng: np.random.Generator, rows: int, columns: int) -> F32:
    """Return random values in [0, 1) to interpolate."""
    return rng.random((rows, columns), np.float32)


def noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], octaves: int = 1
) -> F32:
    """Return smooth noise in [0, 1] over (h, w), the same picture at every size.

    Args:
        rng: draws depend on ``cells`` and ``octaves``, not on ``shape``.
        shape: size in pixels.
        cells: how many cells the first octave has over the height and the width.
        octaves: each halves the cells and the amplitude.
    """
    total = np.zeros(shape, np.float32)
    amplitude, reached = 1.0, 0.0
    for octave in range(octaves):
        rows, columns = cells[0] << octave, cells[1] << octave
        values = lattice(rng, rows + 1, columns + 1)
        stretched = np.ascontiguousarray(_stretch(values.T, shape[1]).T)
        total += amplitude * _stretch(stretched, shape[0])
        reached += amplitude
        amplitude /= 2
    return total / reached


def _stretch(values: F32, length: int) -> F32:
    """Interpolate the rows of a lattice to ``length`` rows."""
    first, t, rest = _taps(values.shape[0] - 1, length)
    stretched: F32 = values[first] * rest + values[first + 1] * t
    return stretched


@lru_cache(maxsize=256)
def _taps(cells: int, length: int) -> tuple[npt.NDArray[np.intp], F32, F32]:
    """Return which lattice row is before each of ``length`` rows, and the next one's share."""
    at = (np.arange(length, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / length)
    first = np.minimum(at.astype(np.intp), cells - 1)
    t = (at - first).astype(np.float32)[:, None]
    t = t * t * (3 - 2 * t)
    return first, t, 1 - t


def lookup(values: F32, rows: F32, columns: F32) -> F32:
    """Return a repeating lattice interpolated at any positions, for textures in perspective.

    Shape: ``rows`` (h, 1) and ``columns`` (h, w) or (1, w), in cells -> (h, w).
    """
    row, column = np.floor(rows), np.floor(columns)
    r = row[:, 0].astype(np.int64) % values.shape[0]
    t = rows - row
    band = values[r] * (1 - t) + values[(r + 1) % values.shape[0]] * t  # (h, lattice columns)
    band = np.concatenate([band, band[:, :1]], axis=1)  # so that column + 1 needs no remainder
    s = columns - column
    s = s * s * (3 - 2 * s)
    at = (column - np.floor(column / values.shape[1]) * values.shape[1]).astype(np.int64)
    at = at + np.arange(band.shape[0])[:, None] * band.shape[1]
    flat = band.ravel()
    first: F32 = flat.take(at)
    first += (flat.take(at + 1) - first) * s
    return first
