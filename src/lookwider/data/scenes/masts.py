"""Poles, signs and lights: one thin mast each, and only its end tells which it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lookwider.data.scenes.classes import SceneClass
from lookwider.data.scenes.drawing import F32, Canvas, Rgb, Window, edge, rgb, tinted
from lookwider.data.scenes.light import Light

ENDS = (SceneClass.POLE, SceneClass.SIGN, SceneClass.LIGHT)
"""What a mast may carry; the whole object, mast included, has the class of its end."""

HEAD = 0.085
"""Height of every end in `Canvas.unit`; the mast below it is the same for all three."""

_METAL = (0.42, 0.43, 0.45)
_BOARDS: tuple[Rgb, ...] = ((0.80, 0.10, 0.10), (0.10, 0.32, 0.70), (0.95, 0.76, 0.10))


@dataclass(frozen=True)
class Mast:
    """A mast and the looks of its end, whichever that is.

    Attributes:
        x: as a share of the canvas's width.
        base: foot, as a share of the canvas's height.
        height: in `Canvas.unit`, end included.
        side: -1 or 1, where a lamp's arm points.
        board: which of the sign's colours and shapes.
    """

    x: float
    base: float
    height: float
    side: int
    board: int

    def box(self, canvas: Canvas) -> tuple[float, float, float, float]:
        """Return top, bottom, left and right in pixels."""
        base, x = self.base * canvas.height, self.x * canvas.width
        reach = HEAD * canvas.unit
        return base - self.height * canvas.unit, base, x - reach, x + reach


def paint_mast(canvas: Canvas, mast: Mast, light: Light, end: SceneClass) -> None:
    """Paint a mast with its end, all of it labelled ``end``."""
    top, _, left, right = mast.box(canvas)
    _paint_shaft(canvas, mast, light, end)
    window = canvas.window(top, top + HEAD * canvas.unit, left, right)
    if end is SceneClass.POLE:
        _paint_crossarm(canvas, window, mast, light)
    elif end is SceneClass.SIGN:
        _paint_board(canvas, window, mast, light)
    else:
        _paint_lamp(canvas, window, mast, light)


def _paint_shaft(canvas: Canvas, mast: Mast, light: Light, end: SceneClass) -> None:
    """Fill whole pixels, so that no background shines through a thin mast."""
    top, base, _, _ = mast.box(canvas)
    rows = slice(max(round(top), 0), max(round(base), 0))
    width = max(1, round(0.016 * canvas.unit))
    first = round(mast.x * canvas.width - width / 2)
    for column in range(max(first, 0), min(first + width, canvas.width)):
        shade = 1.2 - 0.5 * (column - first + 0.5) / width
        metal = rgb(tinted(_METAL, light.tint)) * shade
        canvas.image[:, rows, column] = metal[:, :, 0]
        canvas.label[rows, column] = end


def _at(canvas: Canvas, window: Window, mast: Mast) -> tuple[F32, F32]:
    """Return the distance right of the mast and below its top, in head heights."""
    top = mast.box(canvas)[0]
    head = HEAD * canvas.unit
    right = (window.x - (mast.x * canvas.width)) / head
    return right, (window.y - top) / head


def _paint_crossarm(canvas: Canvas, window: Window, mast: Mast, light: Light) -> None:
    a, b = _at(canvas, window, mast)
    head = HEAD * canvas.unit
    wood = tinted((0.34, 0.25, 0.19), light.tint)
    arm = np.minimum(0.8 - np.abs(a), 0.09 - np.abs(b - 0.45))
    canvas.paint(window, edge(arm * head), wood, SceneClass.POLE)
    for side in (-0.66, 0.66):
        cap = np.minimum(0.09 - np.abs(a - side), 0.13 - np.abs(b - 0.26))
        canvas.paint(window, edge(cap * head), (0.86, 0.90, 0.90), SceneClass.POLE)


def _paint_board(canvas: Canvas, window: Window, mast: Mast, light: Light) -> None:
    a, b = _at(canvas, window, mast)
    head = HEAD * canvas.unit
    across, down = np.abs(a), np.abs(b - 0.5)
    shapes = (np.sqrt(across * across + down * down), np.maximum(across, down), across + down)
    distance = shapes[mast.board] * (1.0, 1.12, 0.86)[mast.board]
    white = tinted((0.95, 0.95, 0.93), light.tint)
    canvas.paint(window, edge((0.5 - distance) * head), white, SceneClass.SIGN)
    canvas.paint(window, edge((0.42 - distance) * head), tinted(_BOARDS[mast.board], light.tint))
    bar = np.minimum(0.24 - across, 0.075 - down)
    canvas.paint(window, edge(bar * head), white)


def _paint_lamp(canvas: Canvas, window: Window, mast: Mast, light: Light) -> None:
    a, b = _at(canvas, window, mast)
    a = a * mast.side
    head = HEAD * canvas.unit
    metal = tinted(_METAL, light.tint)
    arm = np.minimum(np.minimum(a + 0.08, 0.8 - a), 0.08 - np.abs(b - 0.12))
    canvas.paint(window, edge(arm * head), metal, SceneClass.LIGHT)
    dx, dy = a - 0.6, (b - 0.38) * 1.25
    distance = np.sqrt(dx * dx + dy * dy)
    canvas.paint(window, 0.75 * light.lit / (1 + 30 * distance * distance), (1.0, 0.86, 0.5))
    canvas.paint(window, edge((0.33 - distance) * head), (1.0, 0.90, 0.55), SceneClass.LIGHT)
    canvas.paint(window, edge((0.2 - distance) * head), (1.0, 0.98, 0.86))
    shade = np.minimum(0.3 - np.abs(a - 0.6), 0.11 - np.abs(b - 0.16))
    canvas.paint(window, edge(shade * head), metal, SceneClass.LIGHT)
