"""Houses and skyscrapers: one facade, and only the whole shape tells which it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lookwider.data.scenes.classes import SceneClass
from lookwider.data.scenes.drawing import F32, Canvas, Rgb, Window, edge, mix, rgb, tinted
from lookwider.data.scenes.light import Light

_WALLS: tuple[Rgb, ...] = (
    (0.78, 0.52, 0.40),
    (0.86, 0.76, 0.58),
    (0.62, 0.66, 0.70),
    (0.80, 0.80, 0.76),
    (0.56, 0.40, 0.36),
    (0.66, 0.72, 0.64),
)
_ROOFS: tuple[Rgb, ...] = ((0.60, 0.25, 0.18), (0.36, 0.30, 0.32), (0.28, 0.34, 0.42))
_LAMP = (1.0, 0.84, 0.46)
MAX_ROWS, MAX_COLUMNS = 16, 10


@dataclass(frozen=True, eq=False)
class Facade:
    """A wall with windows, drawn the same way for a house and a skyscraper.

    Attributes:
        pitch: side of one square with one window, in `Canvas.unit`.
        wall: colour of the wall.
        glass: (width, height) of a window in pitches.
        lamps: (MAX_ROWS, MAX_COLUMNS) in [0, 1): windows below `Light.lit` are lit.
        haze: share of the sky's colour in it.
    """

    pitch: float
    wall: Rgb
    glass: tuple[float, float]
    lamps: F32
    haze: float


@dataclass(frozen=True, eq=False)
class Building:
    """A facade with its place, and the shape it has as a house and as a skyscraper.

    Attributes:
        left: left edge, as a share of the canvas's width.
        base: foot, as a share of the canvas's height.
        facade: the wall.
        shapes: (rows, columns) of windows as a house and as a skyscraper.
        top: 0 to 2, the kind of roof.
    """

    left: float
    base: float
    facade: Facade
    shapes: tuple[tuple[int, int], tuple[int, int]]
    top: int

    def shape(self, kind: SceneClass) -> tuple[int, int]:
        """Return rows and columns of windows."""
        return self.shapes[0 if kind is SceneClass.HOUSE else 1]


def draw_building(rng: np.random.Generator, left: float, base: float) -> Building:
    """Draw a building; its facade knows nothing of the shape that it is cut to."""
    facade = Facade(
        pitch=0.046 + 0.016 * float(rng.random()),
        wall=mix(
            _WALLS[int(rng.integers(len(_WALLS)))],
            _WALLS[int(rng.integers(len(_WALLS)))],
            0.3 * float(rng.random()),
        ),
        glass=(0.42 + 0.24 * float(rng.random()), 0.48 + 0.2 * float(rng.random())),
        lamps=rng.random((MAX_ROWS, MAX_COLUMNS), np.float32),
        haze=0.22 * float(rng.random()),
    )
    house = (int(rng.integers(2, 4)), int(rng.integers(5, 8)))
    tower = (int(rng.integers(6, 11)), int(rng.integers(3, 5)))
    return Building(left, base, facade, (house, tower), int(rng.integers(3)))


def paint_building(canvas: Canvas, building: Building, light: Light, kind: SceneClass) -> None:
    """Paint a building as a house, low and wide under a roof, or as a skyscraper."""
    rows, columns = building.shape(kind)
    pitch = building.facade.pitch * canvas.unit
    left, base = building.left * canvas.width, building.base * canvas.height
    right, top = left + columns * pitch, base - rows * pitch
    if kind is SceneClass.HOUSE:
        _paint_roof(canvas, building, light, (top, left, right))
    else:
        _paint_crown(canvas, building, light, (top, left, right))
    window = canvas.window(top, base, left, right)
    inside = np.minimum(
        np.minimum(window.x - left, right - window.x),
        np.minimum(window.y - top, base - window.y),
    )
    colours = facade_colours(canvas, building, light, window)
    canvas.paint(window, edge(inside), colours, kind)


def facade_colours(canvas: Canvas, building: Building, light: Light, window: Window) -> F32:
    """Return the facade's colours at a window's pixels; the building's shape has no say in it.

    Shape: (3, h, w).
    """
    facade = building.facade
    pitch = facade.pitch * canvas.unit
    across = (window.x - building.left * canvas.width) / pitch
    up = (building.base * canvas.height - window.y) / pitch
    column, row = np.floor(across), np.floor(up)
    dx, dy = across - column - 0.5, up - row - 0.5
    lamps = facade.lamps[
        np.clip(row, 0, MAX_ROWS - 1).astype(np.intp),
        np.clip(column, 0, MAX_COLUMNS - 1).astype(np.intp),
    ]
    across_pane = (facade.glass[0] / 2 - np.abs(dx)) * pitch
    up_pane = (facade.glass[1] / 2 - np.abs(dy)) * pitch
    rim = 0.07 * pitch
    frame, pane = edge(across_pane + rim) * edge(up_pane + rim), edge(across_pane) * edge(up_pane)
    ledge = edge((np.abs(dy) - 0.45) * pitch) * 0.10
    wall = rgb(_hazy(facade.wall, facade, light)) * (1 - ledge)
    colours = wall + (rgb(_hazy((0.93, 0.92, 0.88), facade, light)) - wall) * frame
    low, high = _hazy((0.14, 0.20, 0.28), facade, light), _hazy((0.46, 0.60, 0.70), facade, light)
    dark = rgb(low) + rgb(mix(high, low, 0.5)) * (dy + 0.3)
    lamp = rgb(_LAMP) * (0.92 - 0.3 * dy)
    lit = (lamps < light.lit) * pane
    painted: F32 = colours * (1 - pane) + dark * (pane - lit) + lamp * lit
    return painted


def _hazy(colour: Rgb, facade: Facade, light: Light) -> Rgb:
    return mix(tinted(colour, light.tint), light.low, facade.haze)


def _paint_roof(
    canvas: Canvas, building: Building, light: Light, place: tuple[float, float, float]
) -> None:
    """Paint a pitched roof with a chimney and rows of tiles."""
    top, left, right = place
    pitch = building.facade.pitch * canvas.unit
    height = pitch * (1.5, 1.9, 1.2)[building.top]
    slope = height / ((right - left) / 2 * (0.95, 0.8, 0.35)[building.top])
    colour = _hazy(_ROOFS[building.top], building.facade, light)
    window = canvas.window(top - 1.25 * height, top, left - pitch, right + pitch)
    x = left + (right - left) * 0.72
    chimney = np.minimum(0.3 * pitch - np.abs(window.x - x), window.y - (top - 1.2 * height))
    brick = _hazy((0.46, 0.26, 0.22), building.facade, light)
    canvas.paint(window, edge(np.minimum(chimney, top - window.y)), brick, SceneClass.HOUSE)
    rise = top - window.y
    eaves = 0.35 * pitch
    sides = np.minimum(window.x - left + eaves, right + eaves - window.x) - rise / slope
    cover = edge(np.minimum(np.minimum(rise, height - rise), sides))
    turns = rise / (0.3 * pitch)
    tiles = 0.88 + 0.2 * (turns - np.floor(turns))
    canvas.paint(window, cover, rgb(colour) * tiles, SceneClass.HOUSE)


def _paint_crown(
    canvas: Canvas, building: Building, light: Light, place: tuple[float, float, float]
) -> None:
    """Paint a flat top: a parapet, and on some a step or an antenna."""
    top, left, right = place
    pitch = building.facade.pitch * canvas.unit
    colour = mix(_hazy(building.facade.wall, building.facade, light), (0.1, 0.1, 0.15), 0.25)
    middle, half = (left + right) / 2, (right - left) / 2
    blocks = ((1.0, 0.3), (0.6, 0.8), (max(0.07, 0.6 / half), 2.2))  # half width, height
    for width, height in (blocks[0], blocks[building.top]):
        window = canvas.window(top - height * pitch, top, left, right)
        sides = width * half - np.abs(window.x - middle)
        rise = np.minimum(top - window.y, window.y - (top - height * pitch))
        canvas.paint(window, edge(np.minimum(sides, rise)), colour, SceneClass.SKYSCRAPER)
