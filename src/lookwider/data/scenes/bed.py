"""The bed: a pillow that has its sheet's pattern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lookwider.data.scenes.classes import SceneClass
from lookwider.data.scenes.drawing import (
    F32,
    Canvas,
    Rgb,
    Window,
    edge,
    lookup,
    rgb,
    smooth,
    tinted,
    wave,
)


@dataclass(frozen=True)
class Bed:
    """Where the bed stands, all in shares of the canvas.

    Attributes:
        x: its middle.
        head: the row where the mattress begins.
        foot: the row where it ends.
        narrow: half its width at the head.
        wide: half its width at the foot.
    """

    x: float
    head: float
    foot: float
    narrow: float
    wide: float


@dataclass(frozen=True, eq=False)
class Cloth:
    """The pattern of a sheet and of its pillows.

    Attributes:
        colours: ground and figure.
        pattern: 0 stripes, 1 checks, 2 dots, 3 leaves.
        repeat: repeats over half the bed's width.
        weave: (16, 16) lattice.
    """

    colours: tuple[Rgb, Rgb]
    pattern: int
    repeat: float
    weave: F32


def sheet_colours(canvas: Canvas, bed: Bed, cloth: Cloth, room: Rgb, window: Window) -> F32:
    """Return the cloth's colours at a window's pixels, as it lies on the bed, without shading.

    Shape: (3, h, w).
    """
    across, along = _on_bed(canvas, bed, window)
    u, v = across * cloth.repeat, along * (cloth.repeat * 1.6)
    patterns: tuple[Callable[[], F32], ...] = (
        lambda: smooth(wave(u), 0.2, 0.6),
        lambda: (smooth(wave(u), -0.2, 0.2) + smooth(wave(v), -0.2, 0.2)) / 2,
        lambda: smooth(wave(u) + wave(v), 0.9, 1.3),
        lambda: smooth(lookup(cloth.weave, along * (cloth.repeat * 3.2), u * 2), 0.5, 0.68),
    )
    t = patterns[cloth.pattern]()
    first, second = (rgb(tinted(c, room)) for c in cloth.colours)
    return first + (second - first) * t * 0.8


def _on_bed(canvas: Canvas, bed: Bed, window: Window) -> tuple[F32, F32]:
    """Return places on the bed: across, -1 to 1 at its edges, and along, 0 head to 1 foot."""
    down = (window.y / canvas.height - bed.head) / (bed.foot - bed.head)
    half = bed.narrow + (bed.wide - bed.narrow) * down
    across = (window.x / canvas.width - bed.x) / half
    along = down * (1 + bed.wide / bed.narrow) / (1 + half / bed.narrow)
    return across, along


def paint_sheet(canvas: Canvas, bed: Bed, cloth: Cloth, room: Rgb) -> None:
    """Spread the sheet over the mattress and let it hang down at the foot."""
    hang = 0.085 * canvas.height
    head, foot = bed.head * canvas.height, bed.foot * canvas.height
    middle, wide = bed.x * canvas.width, bed.wide * canvas.width
    window = canvas.window(head, foot + hang, middle - wide - 3, middle + wide + 3)
    across, _ = _on_bed(canvas, bed, window)
    on_top = window.y < foot
    flat = np.abs(window.x - middle) / wide
    sides = np.where(on_top, 1 - np.abs(across), 1 - flat) * wide
    ends = np.minimum(window.y - head, (foot + hang) - window.y)
    folds = 0.74 + 0.05 * wave(flat * 4)
    shade = np.where(on_top, 1, folds)
    colours = sheet_colours(canvas, bed, cloth, room, window) * shade
    canvas.paint(window, edge(np.minimum(sides, ends)), colours, SceneClass.BED)


def paint_pillow(canvas: Canvas, bed: Bed, place: tuple[float, float]) -> None:
    """Shade a pillow into the sheet: the cloth below it stays, and gets a faint rim and swell.

    Args:
        canvas: holds the finished sheet.
        bed: the bed.
        place: its middle: across (-1 to 1) and along (0 to 1) the bed.
    """
    row = (bed.head + place[1] * (bed.foot - bed.head)) * canvas.height
    column = (bed.x + place[0] * bed.narrow * 1.06) * canvas.width
    half_height, half_width = 0.052 * canvas.height, 0.066 * canvas.width
    window = canvas.window(
        row - 1.1 * half_height,
        row + 1.1 * half_height,
        column - 1.1 * half_width,
        column + 1.1 * half_width,
    )
    shade, cover = pillow_shading(window, (row, column), (half_height, half_width))
    canvas.image[:, window.rows, window.columns] *= shade
    canvas.label[window.rows, window.columns][cover > 0.5] = SceneClass.PILLOW


def pillow_shading(
    window: Window, middle: tuple[float, float], half: tuple[float, float]
) -> tuple[F32, F32]:
    """Return what a pillow multiplies the sheet by (0.8 to 1.06), and its coverage.

    Shape: (h, w) both.
    """
    dx = (window.x - middle[1]) / half[1]
    dy = (window.y - middle[0]) / half[0]
    square = dx * dx * dx * dx + dy * dy * dy * dy
    radius = np.sqrt(np.sqrt(square))
    distance = (1 - radius) * min(half)
    cover = edge(distance)
    rim = np.clip(1 - np.abs(distance) / (max(1.0, 0.09 * min(half))), 0, 1)
    swell = 0.06 * (1 - radius * radius) - 0.05 * np.clip(dy, 0, 1) * radius
    return 1 + swell * cover - 0.16 * rim, cover
