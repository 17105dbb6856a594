"""The five kinds of scene: lake, road, street, skyline and bedroom.

Lake and road are a pair, and so are skyline and street: for one (seed, index) both of a pair have
the same light, layout, blobs and facades, and differ in the ground that these stand on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lookwider.data.scenes.bedroom import paint_bedroom
from lookwider.data.scenes.buildings import Building, draw_building, paint_building
from lookwider.data.scenes.classes import SceneClass
from lookwider.data.scenes.drawing import Canvas
from lookwider.data.scenes.light import Light, draw_light
from lookwider.data.scenes.masts import ENDS, Mast, paint_mast
from lookwider.data.scenes.nature import (
    SANDS,
    paint_beach,
    paint_ground,
    paint_hills,
    paint_sky,
    paint_tree,
    paint_water,
)
from lookwider.data.scenes.roads import Plain, paint_country_road, paint_town_road
from lookwider.data.scenes.vessels import HALO, Vessel, draw_vessel, paint_vessel

Streams = Callable[[str], np.random.Generator]
"""Gives the random stream of one part of a scene, independent of all other parts."""

_STREAMS = ("kind", "light", "layout", "vessels", "buildings", "masts", "nature", "bedroom")

HOUSE_SHARE = {"street": 0.75, "skyline": 0.15}
"""Probability that a building is a house; otherwise it is a skyscraper."""

_GREENS = ((0.24, 0.40, 0.14), (0.52, 0.62, 0.26))
_PAVING = ((0.60, 0.58, 0.56), (0.72, 0.70, 0.67))


def streams(seed: int, index: int) -> Streams:
    """Return the random streams of scene ``index`` of ``seed``."""
    return lambda part: np.random.default_rng([seed, index, 1 + _STREAMS.index(part)])


def lake(canvas: Canvas, part: Streams) -> None:
    """Paint boats on a lake between hills and a beach."""
    light, plain, nature = draw_light(part("light")), _draw_plain(part("layout")), part("nature")
    vessels = _draw_vessels_on_plain(canvas, part("vessels"), plain)
    paint_sky(canvas, nature, light, plain.horizon)
    paint_hills(canvas, nature, light, plain.horizon, 0.12 + 0.10 * float(nature.random()))
    paint_ground(canvas, nature, light, plain.horizon, SANDS, SceneClass.SHORE)
    _paint_trees(canvas, nature, light, plain.horizon + 0.012, (0.08, 0.16), 7)
    shore = plain.horizon + 0.03
    paint_water(canvas, nature, light, shore)
    paint_beach(canvas, nature, light)
    for vessel in vessels:
        paint_vessel(canvas, vessel, light, SceneClass.BOAT)


def road(canvas: Canvas, part: Streams) -> None:
    """Paint cars on a country road, with masts beside it."""
    light, plain, nature = draw_light(part("light")), _draw_plain(part("layout")), part("nature")
    vessels = _draw_vessels_on_plain(canvas, part("vessels"), plain)
    paint_sky(canvas, nature, light, plain.horizon)
    paint_hills(canvas, nature, light, plain.horizon, 0.10 + 0.08 * float(nature.random()))
    paint_ground(canvas, nature, light, plain.horizon, _GREENS, SceneClass.GRASS)
    _paint_trees(canvas, nature, light, plain.horizon + 0.02, (0.10, 0.2), 7)
    paint_country_road(canvas, nature, light, plain)
    for vessel in vessels:
        paint_vessel(canvas, vessel, light, SceneClass.CAR)
    rng = part("masts")
    masts = []
    for side in (-1, 1, 1, -1, -1, 1):
        base = plain.horizon + 0.12 + (0.78 - plain.horizon - 0.12) * float(rng.random())
        x = plain.vanish + side * (plain.road_half(base) + 0.05 + 0.08 * float(rng.random()))
        rise = (base - plain.horizon) * (1.15 + 0.35 * float(rng.random()))
        masts.append(_draw_mast(rng, canvas, x, base, max(rise, 0.26)))
    _paint_masts(canvas, rng, light, masts, vessels)


def street(canvas: Canvas, part: Streams) -> None:
    """Paint a row of buildings, mostly houses, along a street."""
    _paint_front(canvas, part, "street")


def skyline(canvas: Canvas, part: Streams) -> None:
    """Paint a row of buildings, mostly skyscrapers, behind water."""
    _paint_front(canvas, part, "skyline")


def bedroom(canvas: Canvas, part: Streams) -> None:
    """Paint a bedroom."""
    paint_bedroom(canvas, part("bedroom"), draw_light(part("light")))


KINDS: dict[str, Callable[[Canvas, Streams], None]] = {
    "lake": lake,
    "road": road,
    "street": street,
    "skyline": skyline,
    "bedroom": bedroom,
}
"""The kinds of scene, each as likely as the others."""


def draw_kind(part: Streams) -> str:
    """Draw a kind of scene."""
    return tuple(KINDS)[int(part("kind").integers(len(KINDS)))]


def _draw_plain(rng: np.random.Generator) -> Plain:
    return Plain(
        horizon=0.34 + 0.09 * float(rng.random()),
        vanish=0.40 + 0.2 * float(rng.random()),
        road=0.56 + 0.06 * float(rng.random()),
    )


def _draw_vessels_on_plain(canvas: Canvas, rng: np.random.Generator, plain: Plain) -> list[Vessel]:
    """Draw one to three blobs that a road of this plain has room for, the far ones first."""
    drawn = []
    for _ in range(int(rng.integers(1, 4))):
        base = 0.66 + 0.21 * float(rng.random())
        height = (0.09 + 0.05 * (base - 0.66) / 0.21) * (0.9 + 0.2 * float(rng.random()))
        unit = canvas.unit / canvas.height
        room = (
            plain.road_half(base - height * unit) - 0.5 * 2.4 * height * canvas.unit / canvas.width
        )
        x = plain.vanish + (2 * float(rng.random()) - 1) * max(room - 0.02, 0.0)
        drawn.append(draw_vessel(rng, x, base, height))
    return _apart(canvas, drawn)


def _draw_vessels_in_front(canvas: Canvas, rng: np.random.Generator) -> list[Vessel]:
    """Draw one or two blobs for the strip before a row of buildings."""
    drawn = []
    for _ in range(int(rng.integers(1, 3))):
        height = 0.075 + 0.02 * float(rng.random())
        margin = 1.3 * height * canvas.unit / canvas.width
        x = margin + (1 - 2 * margin) * float(rng.random())
        drawn.append(draw_vessel(rng, x, 0.92 + 0.04 * float(rng.random()), height))
    return _apart(canvas, drawn)


def _apart(canvas: Canvas, vessels: list[Vessel]) -> list[Vessel]:
    """Keep those that no other's mist reaches, and order them from far to near."""
    kept: list[Vessel] = []
    for vessel in vessels:
        if not any(_meet(vessel.box(canvas, 1.9), other.box(canvas, 1.9)) for other in kept):
            kept.append(vessel)
    return sorted(kept, key=lambda vessel: vessel.base)


Box = tuple[float, float, float, float]


def _meet(first: Box, second: Box) -> bool:
    """Whether two boxes (top, bottom, left, right) overlap."""
    return (
        first[0] < second[1]
        and second[0] < first[1]
        and first[2] < second[3]
        and second[2] < first[3]
    )


def _draw_mast(
    rng: np.random.Generator, canvas: Canvas, x: float, base: float, rise: float
) -> Mast:
    """Draw a mast that rises ``rise`` (a share of H) at most, within the picture."""
    height = min(rise, base - 0.03) * canvas.height / canvas.unit
    side, board = 1 - 2 * int(rng.integers(2)), int(rng.integers(3))
    return Mast(x, base, height, side, board)


def _paint_masts(
    canvas: Canvas,
    rng: np.random.Generator,
    light: Light,
    masts: list[Mast],
    vessels: list[Vessel],
) -> None:
    """Paint the masts that are in the picture, clear of the blobs' mist and of each other."""
    taken = [vessel.box(canvas, HALO + 0.1) for vessel in vessels]
    for mast in masts:
        end = ENDS[int(rng.integers(len(ENDS)))]
        box = mast.box(canvas)
        if 0.03 < mast.x < 0.97 and not any(_meet(box, other) for other in taken):
            taken.append(box)
            paint_mast(canvas, mast, light, end)


def _paint_trees(
    canvas: Canvas,
    rng: np.random.Generator,
    light: Light,
    base: float,
    heights: tuple[float, float],
    most: int,
) -> None:
    for _ in range(int(rng.integers(2, most + 1))):
        low, high = heights
        height = low + (high - low) * float(rng.random())
        paint_tree(canvas, rng, light, (float(rng.random()), base), height)


def _paint_front(canvas: Canvas, part: Streams, kind: str) -> None:
    """Paint a row of buildings behind a pavement, with a road or water before it."""
    light, layout, nature = draw_light(part("light")), part("layout"), part("nature")
    vessels = _draw_vessels_in_front(canvas, part("vessels"))
    base = 0.64 + 0.03 * float(layout.random())
    kerb = base + 0.05 + 0.015 * float(layout.random())
    paint_sky(canvas, nature, light, base)
    paint_hills(canvas, nature, light, base, 0.2 + 0.1 * float(nature.random()))
    paint_ground(canvas, nature, light, base - 0.02, _PAVING, SceneClass.PAVEMENT)
    _paint_buildings(canvas, part("buildings"), light, base, HOUSE_SHARE[kind])
    _paint_trees(canvas, nature, light, base + 0.015, (0.12, 0.2), 4)
    if kind == "street":
        paint_town_road(canvas, nature, light, kerb)
    else:
        paint_water(canvas, nature, light, kerb)
    label = SceneClass.CAR if kind == "street" else SceneClass.BOAT
    for vessel in vessels:
        paint_vessel(canvas, vessel, light, label)
    rng = part("masts")
    masts = []
    for place in range(4):
        x = (place + 0.2 + 0.6 * float(rng.random())) / 4
        masts.append(_draw_mast(rng, canvas, x, kerb - 0.012, 0.32 + 0.16 * float(rng.random())))
    _paint_masts(canvas, rng, light, masts[: 4 if kind == "street" else 2], vessels)


def _paint_buildings(
    canvas: Canvas, rng: np.random.Generator, light: Light, base: float, house_share: float
) -> None:
    """Paint a row from left to right; the hazier ones stand behind."""
    left = -0.08 + 0.06 * float(rng.random())
    row: list[tuple[Building, SceneClass]] = []
    while left < 0.97 and len(row) < 12:
        building = draw_building(rng, left, base)
        house = float(rng.random()) < house_share
        kind = SceneClass.HOUSE if house else SceneClass.SKYSCRAPER
        row.append((building, kind))
        span = building.shape(kind)[1] * building.facade.pitch * canvas.unit / canvas.width
        left += span + 0.06 * float(rng.random()) - 0.01
    for building, kind in sorted(row, key=lambda each: -each[0].facade.haze):
        paint_building(canvas, building, light, kind)
