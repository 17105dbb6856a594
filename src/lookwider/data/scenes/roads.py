"""The roads of the built-in scenes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lookwider.data.scenes.classes import SceneClass
from lookwider.data.scenes.drawing import F32, Canvas, edge, lattice, lookup, rgb, tinted
from lookwider.data.scenes.light import Light
from lookwider.data.scenes.nature import depth

_ASPHALT = ((0.25, 0.26, 0.28), (0.34, 0.35, 0.37))
_MARKS = (0.93, 0.93, 0.90)


@dataclass(frozen=True)
class Plain:
    """Open land: a horizon and, on it, the point that a road runs to (shares of H and W)."""

    horizon: float
    vanish: float
    road: float

    def road_half(self, row: float) -> float:
        """Return half the road's width at a row (a share of H), as a share of W."""
        return self.road * max(row - self.horizon, 0.0) / (1 - self.horizon)


def paint_country_road(
    canvas: Canvas, rng: np.random.Generator, light: Light, plain: Plain
) -> None:
    """Paint a road to the vanishing point with edge lines and a dashed middle."""
    window = canvas.window(round(plain.horizon * canvas.height) + 1, canvas.height)
    near = depth(canvas, window, plain.horizon)
    rows = window.y / canvas.height
    half = (rows - plain.horizon) * (plain.road / (1 - plain.horizon) * canvas.width)
    away = window.x - (plain.vanish * canvas.width)
    dx = np.abs(away)
    grains = lattice(rng, 32, 32)
    speckle = lookup(grains, 20 / near, away / canvas.unit / near * 22)
    first, second = rgb(tinted(_ASPHALT[0], light.tint)), rgb(tinted(_ASPHALT[1], light.tint))
    canvas.paint(window, edge(half - dx), first + (second - first) * speckle, SceneClass.ROAD)
    white = tinted(_MARKS, light.tint)
    line = half * 0.025
    canvas.paint(window, edge(line - np.abs(dx - half * 0.93)) * _seen(near), white)
    turns = 1.1 / near + (float(rng.random()))
    gone = np.abs(turns - np.floor(turns) - 0.5)
    dash = edge((0.27 - gone) * near * near * (canvas.height * 0.6))
    canvas.paint(window, edge(line - dx) * dash * _seen(near), white)


def _seen(near: F32) -> F32:
    """Return how far a mark is seen."""
    seen: F32 = np.clip((near - 0.06) * 6, 0, 1)
    return seen


def paint_town_road(canvas: Canvas, rng: np.random.Generator, light: Light, kerb: float) -> None:
    """Paint a road that runs past, with a kerb and a dashed line."""
    window = canvas.window(kerb * canvas.height, canvas.height)
    down = window.y - (kerb * canvas.height)
    grains, phase = lattice(rng, 32, 32), float(rng.random())
    columns = window.x / canvas.unit * 22
    speckle = lookup(grains, window.y / canvas.unit * 40, columns)
    first, second = rgb(tinted(_ASPHALT[0], light.tint)), rgb(tinted(_ASPHALT[1], light.tint))
    canvas.paint(window, edge(down), first + (second - first) * speckle, SceneClass.ROAD)
    stone = (0.008 * canvas.height) - np.abs(down)
    canvas.paint(window, edge(stone), tinted((0.80, 0.79, 0.77), light.tint))
    white = tinted(_MARKS, light.tint)
    middle = 0.5 * (1 - kerb) * canvas.height
    unit = canvas.unit
    turns = (window.x - (down - middle) * 0.6) / (unit * 0.26)
    turns = turns + phase
    gone = np.abs(turns - np.floor(turns) - 0.5)
    dash = edge((0.27 - gone) * unit * 0.26)
    canvas.paint(window, edge(0.009 * unit - np.abs(down - middle)) * dash, white)
