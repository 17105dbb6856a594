"""The classes of the built-in scenes, and the kind of failure that each of them probes."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from lookwider.classes import Classes, Colour


class SceneClass(IntEnum):
    """Class ids of the built-in scenes."""

    SKY = 0
    HILL = 1
    TREE = 2
    GRASS = 3
    WATER = 4
    SHORE = 5
    ROAD = 6
    PAVEMENT = 7
    BOAT = 8
    CAR = 9
    HOUSE = 10
    SKYSCRAPER = 11
    POLE = 12
    SIGN = 13
    LIGHT = 14
    WALL = 15
    FLOOR = 16
    WINDOW = 17
    CURTAIN = 18
    BED = 19
    PILLOW = 20


_PALETTE: dict[SceneClass, Colour] = {
    SceneClass.SKY: (135, 196, 235),
    SceneClass.HILL: (112, 140, 98),
    SceneClass.TREE: (38, 110, 58),
    SceneClass.GRASS: (142, 190, 84),
    SceneClass.WATER: (36, 92, 168),
    SceneClass.SHORE: (226, 202, 142),
    SceneClass.ROAD: (92, 92, 100),
    SceneClass.PAVEMENT: (176, 168, 164),
    SceneClass.BOAT: (250, 140, 32),
    SceneClass.CAR: (206, 32, 60),
    SceneClass.HOUSE: (176, 92, 62),
    SceneClass.SKYSCRAPER: (112, 82, 164),
    SceneClass.POLE: (60, 44, 34),
    SceneClass.SIGN: (0, 168, 160),
    SceneClass.LIGHT: (255, 222, 40),
    SceneClass.WALL: (222, 214, 196),
    SceneClass.FLOOR: (150, 108, 70),
    SceneClass.WINDOW: (176, 232, 240),
    SceneClass.CURTAIN: (150, 46, 110),
    SceneClass.BED: (236, 150, 176),
    SceneClass.PILLOW: (255, 84, 160),
}

SCENE_CLASSES = Classes(
    tuple(c.name.lower() for c in SceneClass), tuple(_PALETTE[c] for c in SceneClass)
)
"""Names and colours of the built-in scenes' classes."""

FAILURE_KINDS: tuple[str, ...] = (
    "none",
    "mismatched relationship",
    "confusable categories",
    "inconspicuous classes",
)
"""What a value of `Scene.failure` means: PSPNet's three kinds of failure (section 3.1)."""

PROBES: dict[int, tuple[SceneClass, ...]] = {
    1: (SceneClass.BOAT, SceneClass.CAR),
    2: (SceneClass.HOUSE, SceneClass.SKYSCRAPER),
    3: (SceneClass.PILLOW, SceneClass.POLE, SceneClass.SIGN, SceneClass.LIGHT),
}
"""The classes whose pixels probe each kind of failure."""


def failure_of(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the failure kind that each labelled pixel probes, 0 where none.

    Shape: any, the same out.
    """
    table = np.zeros(256, np.uint8)
    for kind, members in PROBES.items():
        table[list(members)] = kind
    return table[label]
