"""Boats and cars: one blob in neutral mist, named by what it stands on.

The same function draws both from the same draws, and an opaque mist hides the ground around
it. Within `HALO` blob heights of the blob no pixel depends on whether the ground is water or road.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lookwider.data.scenes.drawing import (
    F32,
    Canvas,
    Rgb,
    Window,
    edge,
    lookup,
    mix,
    rgb,
    smooth,
    tinted,
)
from lookwider.data.scenes.light import Light

HALO = 1.0
"""Width of the opaque mist around a blob, in blob heights.

A disc of radius HALO h around any pixel of a blob of height h, and so a square window of side
1.4 HALO h, sees neither water nor road. Heights are 0.075 to 0.154 of `Canvas.unit`: at 128 x 160
blobs are 10 to 20 pixels high, and windows of 14 to 28 pixels see nothing of the ground."""

HALO_FADE = 2.6
"""Where the mist has gone, in blob heights from the blob."""

_PAINTS: tuple[Rgb, ...] = (
    (0.80, 0.13, 0.12),
    (0.95, 0.94, 0.90),
    (0.12, 0.33, 0.66),
    (0.95, 0.72, 0.14),
    (0.10, 0.45, 0.38),
    (0.87, 0.42, 0.12),
)
_GLASS_TOP, _GLASS_LOW = (0.62, 0.78, 0.86), (0.16, 0.24, 0.32)


@dataclass(frozen=True, eq=False)
class Vessel:
    """A blob that is a boat on water and a car on a road.

    Attributes:
        x: centre, as a share of the canvas's width.
        base: lowest point, as a share of the canvas's height.
        height: in `Canvas.unit`.
        length: in `Canvas.unit`.
        paint: colour of the body.
        cabin: centre of the cabin, -1 to 1 along the body.
        cabin_width: half the cabin's width, as a share of half the length.
        texture: (12, 12) lattice of the body's and the mist's noise.
    """

    x: float
    base: float
    height: float
    length: float
    paint: Rgb
    cabin: float
    cabin_width: float
    texture: F32

    def box(self, canvas: Canvas, margin: float = 0.0) -> tuple[float, float, float, float]:
        """Return top, bottom, left and right in pixels, widened by ``margin`` heights."""
        grow = margin * self.height * canvas.unit
        x, base = self.x * canvas.width, self.base * canvas.height
        half = self.length * canvas.unit / 2
        top = base - self.height * canvas.unit
        return top - grow, base + grow, x - half - grow, x + half + grow


def draw_vessel(rng: np.random.Generator, x: float, base: float, height: float) -> Vessel:
    """Draw the looks of a blob; neither the draw nor the blob knows whether it is a boat."""
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    shade = 0.85 + 0.25 * float(rng.random())
    return Vessel(
        x=x,
        base=base,
        height=height,
        length=vessel_length(rng, height),
        paint=(paint[0] * shade, paint[1] * shade, paint[2] * shade),
        cabin=0.3 * (float(rng.random()) - 0.5),
        cabin_width=0.5 + 0.12 * float(rng.random()),
        texture=rng.random((12, 12), np.float32),
    )


def vessel_length(rng: np.random.Generator, height: float) -> float:
    """Draw the length of a blob of this height."""
    return height * (2.0 + 0.4 * float(rng.random()))


@dataclass(frozen=True, eq=False)
class _Frame:
    """Where a blob is drawn: pixels, and its own coordinates a (-1 to 1, right), b (0 to 1, up)."""

    window: Window
    a: F32
    b: F32
    half: float
    height: float


def paint_vessel(canvas: Canvas, vessel: Vessel, light: Light, label: int) -> None:
    """Paint the mist, labelled as the ground it hides, and the blob with ``label``."""
    _paint_mist(canvas, vessel, light)
    window = canvas.window(*vessel.box(canvas))
    top, base, left, right = vessel.box(canvas)
    height, half = base - top, (right - left) / 2
    a, b = (window.x - (left + right) / 2) / half, (base - window.y) / height
    frame = _Frame(window, a, b, half, height)
    _paint_body(canvas, frame, vessel, light, label)
    _paint_cabin(canvas, frame, vessel, light, label)


def _paint_mist(canvas: Canvas, vessel: Vessel, light: Light) -> None:
    window = canvas.window(*vessel.box(canvas, HALO_FADE))
    top, base, left, right = vessel.box(canvas)
    height = base - top
    dx = np.maximum(np.maximum(left - window.x, window.x - right), 0)
    dy = np.maximum(np.maximum(top - window.y, window.y - base), 0)
    distance = np.sqrt(dx * dx + dy * dy) / height
    fade = np.maximum(distance - HALO, 0) / (HALO_FADE - HALO)
    rows, columns = (window.y - base) / height, (window.x - left) / height
    puffs = lookup(vessel.texture, rows * 1.3, columns * 0.8) * 0.65
    puffs += lookup(vessel.texture, rows * 3.1, columns * 1.9) * 0.35
    cover = 1 - smooth(fade * (1.8 - 1.2 * puffs), 0, 1)
    canvas.paint(window, cover, rgb(light.mist) * (0.96 + 0.08 * puffs))


def _paint_body(canvas: Canvas, frame: _Frame, vessel: Vessel, light: Light, label: int) -> None:
    """Paint a body, wide above and tucked in below, with a stripe, two lamps and dark feet."""
    window, a, b, half, height = frame.window, frame.a, frame.b, frame.half, frame.height
    rise = np.clip(b / 0.56, 0, 1)
    width = 1 - 0.3 * (1 - rise) * (1 - rise)
    sides = (width - np.abs(a)) * half
    cover = edge(np.minimum(sides, np.minimum((0.56 - b) * height, b * height)))
    grain = lookup(vessel.texture, b * 9, a * 11)
    shade = (0.6 + 0.7 * b) * (0.95 + 0.1 * grain)
    canvas.paint(window, cover, rgb(tinted(vessel.paint, light.tint)) * shade, label)
    stripe = edge((0.035 - np.abs(b - 0.47)) * height) * cover
    canvas.paint(window, stripe, tinted((0.96, 0.96, 0.94), light.tint))
    dark = tinted((0.10, 0.10, 0.12), light.tint)
    canvas.paint(window, edge((0.09 - b) * height) * cover, dark)
    feet = np.minimum(0.13 - np.abs(np.abs(a) - 0.5), 0.2 - b)
    canvas.paint(window, edge(feet * height) * cover, dark)
    for side in (-0.84, 0.84):
        dx, dy = (a - side) * half, (b - 0.34) * height
        lamp = edge(0.07 * height - np.sqrt(dx * dx + dy * dy)) * cover
        canvas.paint(window, lamp, (1.0, 0.93, 0.66))


def _paint_cabin(canvas: Canvas, frame: _Frame, vessel: Vessel, light: Light, label: int) -> None:
    """Paint a cabin with two panes of glass."""
    window, a, b, half, height = frame.window, frame.a, frame.b, frame.half, frame.height
    rise = np.clip((b - 0.54) / 0.46, 0, 1)
    offset = np.abs(a - vessel.cabin)
    width = vessel.cabin_width * (1 - 0.3 * rise * rise)
    bounds = np.minimum((1 - b) * height, (b - 0.5) * height)
    cover = edge(np.minimum((width - offset) * half, bounds))
    canvas.paint(window, cover, tinted(mix(vessel.paint, (1, 1, 1), 0.25), light.tint), label)
    pane = np.minimum(width - 0.09 - offset, offset - 0.03)
    bounds = np.minimum((0.9 - b) * height, (b - 0.6) * height)
    glass = edge(np.minimum(pane * half, bounds)) * cover
    top, low = rgb(tinted(_GLASS_TOP, light.tint)), rgb(tinted(_GLASS_LOW, light.tint))
    canvas.paint(window, glass, low + (top - low) * rise)
