"""The built-in scenes: pictures made by a formula, which ask for context.

No file is needed. Each picture holds things whose looks do not tell what they are, in the three
ways that scene parsing fails without context (PSPNet, Zhao et al. 2017, section 3.1):

* mismatched relationship: the same blob is a boat on water and a car on a road. Neutral mist,
  `lookwider.data.scenes.vessels.HALO` blob heights wide, keeps the ground out of a small
  receptive field.
* confusable categories: houses and skyscrapers have the same facades; only the whole shape tells.
* inconspicuous classes: a pillow has its sheet's pattern and only a faint rim; poles, signs and
  lights have the same thin mast, and the whole object is named by what is at its end.

The kinds of scene are lake, road, street, skyline and bedroom, each with probability 1/5.
A street's building is a house with probability 0.75, a skyline's with 0.15. Noon has probability
2/5, morning, golden hour and dusk 1/5 each, in every kind of scene.
"""

from lookwider.data.scenes.classes import FAILURE_KINDS, SCENE_CLASSES
from lookwider.data.scenes.dataset import (
    MIN_SIZE,
    SCENE_KINDS,
    SPLITS,
    Scene,
    SceneDataset,
    scene,
)
from lookwider.data.scenes.options import open_scenes

__all__ = [
    "FAILURE_KINDS",
    "MIN_SIZE",
    "SCENE_CLASSES",
    "SCENE_KINDS",
    "SPLITS",
    "Scene",
    "SceneDataset",
    "open_scenes",
    "scene",
]
