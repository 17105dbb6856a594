"""The bedroom of the built-in scenes."""

from __future__ import annotations

import numpy as np

from lookwider.data.scenes.bed import Bed, Cloth, paint_pillow, paint_sheet
from lookwider.data.scenes.classes import SceneClass
from lookwider.data.scenes.drawing import (
    Canvas,
    Rgb,
    edge,
    lattice,
    lookup,
    mix,
    noise,
    rgb,
    smooth,
    tinted,
    wave,
)
from lookwider.data.scenes.light import Light

_CLOTHS: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.93, 0.93, 0.92), (0.36, 0.52, 0.72)),
    ((0.96, 0.92, 0.85), (0.80, 0.42, 0.40)),
    ((0.80, 0.88, 0.84), (0.24, 0.50, 0.46)),
    ((0.90, 0.86, 0.94), (0.50, 0.38, 0.64)),
    ((0.95, 0.90, 0.74), (0.82, 0.60, 0.22)),
)
_PAINTS: tuple[Rgb, ...] = (
    (0.80, 0.86, 0.88),
    (0.92, 0.86, 0.78),
    (0.82, 0.88, 0.80),
    (0.90, 0.82, 0.82),
    (0.74, 0.78, 0.86),
)
_WOODS: tuple[Rgb, ...] = ((0.62, 0.43, 0.27), (0.76, 0.60, 0.42), (0.42, 0.28, 0.20))


def paint_bedroom(canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
    """Paint a room with a window, curtains, a floor and a bed with pillows."""
    room = _room_tint(light)
    x = 0.42 + 0.16 * float(rng.random())
    bed = Bed(x, 0.55, 0.84 + 0.05 * float(rng.random()), 0.21, 0.31)
    colours = _CLOTHS[int(rng.integers(len(_CLOTHS)))]
    cloth = Cloth(colours, int(rng.integers(4)), 3 + 2 * float(rng.random()), lattice(rng, 16, 16))
    _paint_walls(canvas, rng, room)
    _paint_floor(canvas, rng, room, bed)
    _paint_window(canvas, rng, light, room, 0.2 if x > 0.5 else 0.8)
    _paint_headboard(canvas, rng, room, bed)
    paint_sheet(canvas, bed, cloth, room)
    count = int(rng.integers(1, 4))
    along = 0.2 + 0.06 * float(rng.random())
    for place in range(count):
        across = (place - (count - 1) / 2) * (0.66 if count == 3 else 0.84)
        paint_pillow(canvas, bed, (across + 0.03 * (float(rng.random()) - 0.5), along))


def _room_tint(light: Light) -> Rgb:
    return mix(light.tint, (1.0, 0.94, 0.84), 0.65)


def _paint_walls(canvas: Canvas, rng: np.random.Generator, room: Rgb) -> None:
    window = canvas.window(0, canvas.height)
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    stripes = wave(window.x / canvas.unit * 9) * (0.03 * int(rng.integers(2)))
    glow = noise(rng, window.shape, (2, 2), 2) * 0.12 + 0.9
    shade = glow * (1 + smooth(stripes, -0.01, 0.01) * np.abs(stripes) * 2)
    canvas.fill(window, rgb(tinted(paint, room)) * shade, SceneClass.WALL)


def _paint_floor(canvas: Canvas, rng: np.random.Generator, room: Rgb, bed: Bed) -> None:
    """Paint planks that run to a vanishing point, and a rug under the bed's foot."""
    top = 0.66
    board = canvas.window(0.635 * canvas.height, top * canvas.height)
    inside = np.minimum(board.y - 0.635 * canvas.height, top * canvas.height - board.y)
    cover = np.broadcast_to(edge(inside), board.shape)
    canvas.paint(board, cover, tinted((0.96, 0.95, 0.92), room), SceneClass.WALL)
    window = canvas.window(round(top * canvas.height) + 1, canvas.height)
    wood = _WOODS[int(rng.integers(len(_WOODS)))]
    tones, grain = lattice(rng, 8, 32), lattice(rng, 24, 24)
    near = (window.y / canvas.height - 0.25) / 0.75
    plank = (window.x / canvas.width - 0.5) / near * 11
    gap = np.abs(plank - np.floor(plank) - 0.5)
    column = np.floor(plank).astype(np.intp) % 32
    row = np.floor(3 / near + tones[0, column] * 4).astype(np.intp) % 8
    streak = lookup(grain, 4 / near, plank * 5)
    shade = 0.78 + 0.28 * tones[row, column] + 0.16 * streak
    shade = shade * (1 - 0.3 * smooth(gap, 0.44, 0.5))
    canvas.fill(window, rgb(tinted(wood, room)) * shade, SceneClass.FLOOR)
    rug = _CLOTHS[int(rng.integers(len(_CLOTHS)))][1]
    dx = (window.x - (bed.x * canvas.width)) / (0.47 * canvas.width)
    dy = (window.y - (0.93 * canvas.height)) / (0.13 * canvas.height)
    distance = np.sqrt(dx * dx + dy * dy)
    rings = 0.9 + 0.1 * wave(distance * 5)
    cover = edge((1 - distance) * (0.13 * canvas.height))
    canvas.paint(window, cover, rgb(tinted(mix(rug, (0.9, 0.86, 0.8), 0.35), room)) * rings)


def _paint_window(
    canvas: Canvas, rng: np.random.Generator, light: Light, room: Rgb, x: float
) -> None:
    """Paint a window on the sky between two curtains."""
    unit, height, width = canvas.unit, canvas.height, canvas.width
    half, top, bottom = 0.125 * width, 0.09 * height, 0.47 * height
    middle = x * width
    window = canvas.window(
        top - 0.05 * height, bottom + 0.1 * height, middle - 2 * half, middle + 2 * half
    )
    dx, down = np.abs(window.x - middle), window.y
    inside = np.minimum(half - dx, np.minimum(down - top, bottom - down))
    t = (down - top) / (bottom - top)
    view = rgb(light.zenith) + (rgb(light.low) - rgb(light.zenith)) * t
    ridge = noise(rng, (1, window.shape[1]), (1, 3), 2) * 0.3 + 0.62
    hill = rgb(mix(tinted((0.30, 0.44, 0.26), light.tint), light.low, 0.25))
    view = np.where(t > ridge, hill, view)
    white = tinted((0.97, 0.96, 0.94), room)
    canvas.paint(window, edge(inside + (0.022 * unit)), white, SceneClass.WINDOW)
    canvas.paint(window, edge(inside), view)
    bars = np.minimum(dx, np.abs(down - (top + 0.4 * (bottom - top))))
    canvas.paint(window, edge(0.008 * unit - bars) * edge(inside), white)
    cloth = _CLOTHS[int(rng.integers(len(_CLOTHS)))][1]
    folds = 0.86 + 0.16 * wave(dx / (0.035 * unit))
    drape = np.abs(dx - (1.12 * half))
    reach = (0.34 * half) + smooth(t, 0.6, 1.2) * (0.10 * half)
    length = np.minimum(down - (top - 0.035 * height), (bottom + 0.09 * height) - down)
    cover = edge(np.minimum(reach - drape, length))
    canvas.paint(window, cover, rgb(tinted(cloth, room)) * folds, SceneClass.CURTAIN)


def _paint_headboard(canvas: Canvas, rng: np.random.Generator, room: Rgb, bed: Bed) -> None:
    half, top = (bed.narrow + 0.02) * canvas.width, (bed.head - 0.15) * canvas.height
    middle, base = bed.x * canvas.width, (bed.head + 0.1) * canvas.height
    window = canvas.window(top, base, middle - half, middle + half)
    dx = (window.x - middle) / half
    arch = top + dx * dx * (0.05 * canvas.height)
    inside = np.minimum((1 - np.abs(dx)) * half, np.minimum(window.y - arch, base - window.y))
    wood = tinted(_WOODS[int(rng.integers(len(_WOODS)))], room)
    slats = 0.93 + 0.07 * wave(dx * 5)
    canvas.paint(window, edge(inside), rgb(wood) * 0.8, SceneClass.BED)
    canvas.paint(window, edge(inside - (0.018 * canvas.unit)), rgb(wood) * slats)
