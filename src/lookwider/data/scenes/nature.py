"""Skies, hills, trees, water and land of the built-in scenes."""

from __future__ import annotations

import numpy as np

from lookwider.data.scenes.classes import SceneClass
from lookwider.data.scenes.drawing import (
    F32,
    Canvas,
    Rgb,
    Window,
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

SANDS: tuple[Rgb, Rgb] = ((0.80, 0.70, 0.50), (0.93, 0.86, 0.68))
"""The two colours of beaches and shores."""


def paint_sky(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float) -> None:
    """Paint a gradient, a sun with its glow, and clouds, down to the horizon (a share of H)."""
    window = canvas.window(0, horizon * canvas.height)
    t = window.y / (horizon * canvas.height)
    zenith, low = rgb(light.zenith), rgb(light.low)
    canvas.fill(window, zenith + (low - zenith) * (t * t * 0.6 + t * 0.4), SceneClass.SKY)
    sun_x, sun_y = 0.12 + 0.76 * float(rng.random()), 1 - light.sun_height
    unit = canvas.unit
    dx = (window.x - (sun_x * canvas.width)) / unit
    dy = (window.y - (sun_y * horizon * canvas.height)) / unit
    distance = np.sqrt(dx * dx + dy * dy)
    canvas.paint(window, 0.8 / (1 + 60 * distance * distance), light.sun)
    canvas.paint(window, edge((0.042 - distance) * unit), mix(light.sun, (1, 1, 1), 0.5))
    puffs = noise(rng, window.shape, (4, 4), 4)
    amount = 0.50 + 0.16 * float(rng.random())
    cover = smooth(puffs, amount, amount + 0.22) * (1 - smooth(t, 0.55, 1.0)) * 0.92
    shade = 1.05 - 0.45 * (puffs - amount)
    canvas.paint(window, cover, rgb(light.cloud) * shade)


def paint_hills(
    canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, height: float
) -> None:
    """Paint three ridges, the far ones paler, each up to about ``height`` (a share of H) high."""
    base = horizon * canvas.height
    whole = canvas.window(base - height * canvas.height, base)
    texture = noise(rng, whole.shape, (6, 12), 3) - 0.5
    for depth, share in ((0.72, 1.0), (0.42, 0.72), (0.1, 0.42)):
        rise = noise(rng, (1, canvas.width), (1, 3), 4) * 1.5 - 0.25
        rise = np.clip(rise, 0.06, 1) * (share * height * canvas.height)
        window = canvas.window(base - share * height * canvas.height, base)
        green = mix((0.22, 0.38, 0.20), (0.44, 0.50, 0.26), float(rng.random()))
        colour = mix(tinted(green, light.tint), mix(light.low, light.zenith, 0.45), depth)
        shade = 1 + texture[-window.shape[0] :] * (0.7 * (1 - 0.6 * depth))
        cover = edge(window.y - base + rise) * (window.y < base)
        canvas.paint(window, cover, rgb(colour) * shade, SceneClass.HILL)


def paint_tree(
    canvas: Canvas,
    rng: np.random.Generator,
    light: Light,
    place: tuple[float, float],
    height: float,
) -> None:
    """Paint a round tree or a fir that stands at ``place`` (shares of W and H)."""
    x, base = place[0] * canvas.width, place[1] * canvas.height
    tall = height * canvas.unit
    fir, spread = float(rng.random()) < 0.4, 0.30 + 0.1 * float(rng.random())
    bumps, leaves = lattice(rng, 7, 7), lattice(rng, 16, 16)
    green = mix((0.16, 0.36, 0.14), (0.36, 0.50, 0.16), float(rng.random()))
    window = canvas.window(base - 1.1 * tall, base, x - 0.6 * tall, x + 0.6 * tall)
    a = (window.x - x) / tall
    b = (base - window.y) / tall
    trunk = np.minimum(0.045 - np.abs(a), np.minimum(b, 0.5 - b))
    bark = tinted((0.33, 0.24, 0.17), light.tint)
    canvas.paint(window, edge(trunk * tall), bark, SceneClass.TREE)
    rough = lookup(bumps, b * 6, a * 6) - 0.5
    if fir:
        turns = b * 4
        width = (1 - b) * 0.34 + (1 - (turns - np.floor(turns))) * 0.07
        inside = np.minimum(width - np.abs(a), b - 0.1) + rough * 0.04
    else:
        dy = (b - 0.64) * (spread / 0.36)
        inside = spread - np.sqrt(a * a + dy * dy) + rough * 0.16
    dapple = lookup(leaves, b * 15, a * 15)
    shade = 0.62 + 0.5 * dapple + 0.5 * (b - 0.6 - a * 0.5)
    colour = rgb(tinted(green, light.tint)) * shade
    canvas.paint(window, edge(inside * tall), colour, SceneClass.TREE)


def paint_water(canvas: Canvas, rng: np.random.Generator, light: Light, top: float) -> None:
    """Paint water from ``top`` (a share of H) down: the picture above mirrored, with ripples."""
    shore = min(max(round(top * canvas.height), 1), canvas.height - 1)
    window = canvas.window(shore + 1, canvas.height)
    ripples, phase = lattice(rng, 32, 16), float(rng.random())
    near = depth(canvas, window, top)
    far = 1 / near
    turns = far * 5 + window.y / canvas.height * 9 + phase
    sway = wave(turns) * near * (0.009 * canvas.unit)
    ahead = (2 * shore) - window.y
    rows = np.clip(ahead * 0.98, 0, shore - 1).astype(np.intp)
    columns = np.clip(window.x + sway, 0, canvas.width - 1).astype(np.intp)
    mirrored = canvas.image[:, rows, columns]
    deep = tinted(mix((0.04, 0.20, 0.32), light.zenith, 0.35), light.tint)
    share = 0.30 + 0.35 * near
    colour = mirrored * (1 - share) + rgb(deep) * share
    across = (window.x - (canvas.width / 2)) / canvas.unit / near * 7
    height = lookup(ripples, far * 9, across)
    fine = lookup(ripples, far * 23, across * 2.3)
    swell = (height + fine - 1) * (0.05 + 0.17 * near)
    sparkle = smooth(height * fine, 0.55, 0.8) * 0.5
    colour = colour * (1 + swell) + (rgb(light.sun) - colour) * sparkle
    canvas.fill(window, colour, SceneClass.WATER)


def paint_beach(canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
    """Paint a beach in one corner of the foreground."""
    left, reach = int(rng.integers(2)), 0.25 + 0.25 * float(rng.random())
    grains, rise = lattice(rng, 24, 24), 0.05 + 0.04 * float(rng.random())
    window = canvas.window((1 - 1.3 * rise) * canvas.height, canvas.height)
    x = window.x / canvas.width
    x = x if left else 1 - x
    curve = np.clip(1 - x / reach, 0, 1)
    bay = rise * curve * (2 - curve)
    bay = bay + 0.012 * lookup(grains, np.zeros((1, 1), np.float32), x * 9) * (curve > 0)
    inside = window.y - (1 - bay) * canvas.height
    columns = window.x / canvas.unit * 40
    grain = lookup(grains, window.y / canvas.unit * 40, columns)
    first, second = rgb(tinted(SANDS[0], light.tint)), rgb(tinted(SANDS[1], light.tint))
    foam = edge(inside + (0.008 * canvas.height)) * (curve > 0)
    canvas.paint(window, foam, tinted((0.95, 0.96, 0.95), light.tint))
    canvas.paint(window, edge(inside), first + (second - first) * grain, SceneClass.SHORE)


def paint_ground(
    canvas: Canvas,
    rng: np.random.Generator,
    light: Light,
    top: float,
    colours: tuple[Rgb, Rgb],
    label: SceneClass,
) -> None:
    """Paint a plain from ``top`` (a share of H) down, speckled between two colours."""
    window = canvas.window(round(top * canvas.height) + 1, canvas.height)
    near = depth(canvas, window, top)
    patches, blades = lattice(rng, 16, 16), lattice(rng, 32, 32)
    across = (window.x - (canvas.width / 2)) / canvas.unit / near
    t = lookup(patches, 3 / near, across * 3)
    t = 0.65 * t + 0.35 * lookup(blades, 16 / near, across * 24)
    first, second = rgb(tinted(colours[0], light.tint)), rgb(tinted(colours[1], light.tint))
    canvas.fill(window, first + (second - first) * t, label)


def depth(canvas: Canvas, window: Window, top: float) -> F32:
    """Return nearness of the rows of a plain that starts at ``top``: 0.04 there, 1 at the bottom.

    Shape: (h, 1).
    """
    start = top * canvas.height
    down = (window.y - start) / (canvas.height - start)
    nearness: F32 = np.clip(down, 0, 1) * 0.96 + 0.04
    return nearness
