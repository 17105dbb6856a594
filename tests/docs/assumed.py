"""A small folder that holds everything the pages assume, by the names that they use."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from rich.console import Console
from tests.training.tiny import make_data

from lookwider.data.scenes import SCENE_CLASSES, scene
from lookwider.training.recipes import configure
from lookwider.training.run import train

SIZE = (48, 64)
SCENES = f"scenes:count=2,size={SIZE[0]}x{SIZE[1]}"
TINY = {
    "backbone": "test_resnet", "pretrained": "false", "crop_size": "32,32", "scale": "none",
    "steps": "2", "batch_size": "2", "val_every": "2", "val_limit": "1", "workers": "0",
    "accelerator": "cpu", "devices": "1",
}  # fmt: skip
"""Settings of a training that takes a second."""

UNDILATED = {"output_stride": "32"}
"""For ParseNet and PSPNet: that trunk cannot be dilated."""

RUNS = {
    "fcn8s": ("a", "first", "fcn", "fcn-8s", "systems/fcn-8s/seed0"),
    "parsenet": (
        *("b", "parsenet", "narrow-plain", "narrow-context", "vgg-like-parsenet"),
        "systems/parsenet/seed0",
    ),
    "pspnet": ("pspnet", "systems/pspnet/seed0"),
}
"""Recipes, and what the pages call their runs."""

MODULE = '''"""A network of somebody else's, with a context of its own."""

from torch import nn


class Context(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(8, 8, 1) for _ in range(4)])
        self.convs.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1)))

    def forward(self, features):
        return sum(conv(features) for conv in self.convs)


def build():
    trunk = nn.Sequential()
    trunk.add_module("layer3", nn.Conv2d(3, 8, 3, stride=2, padding=1))
    network = nn.Sequential()
    network.add_module("backbone", trunk)
    network.add_module("classifier", nn.Sequential(Context(), nn.Conv2d(8, 5, 1)))
    return network
'''


def build(folder: Path) -> Path:
    """Write it all; some trainings of two steps are in it."""
    _photos(folder / "photos")
    make_data(folder / "camvid", count=3, size=SIZE)
    image = folder / "photos" / "images" / "0001.jpg"
    for copy in ("street.jpg", "lake.jpg", "street/a.jpg", "photo.jpg"):
        (folder / copy).parent.mkdir(exist_ok=True)
        shutil.copy(image, folder / copy)
    tifffile.imwrite(folder / "huge.tif", np.asarray(Image.open(image)))
    (folder / "my_package").mkdir()
    (folder / "my_package" / "nets.py").write_text(MODULE)
    _runs(folder / "runs")
    return folder


def _photos(root: Path) -> None:
    """Write scenes as photographs with labels, and lists of the splits."""
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
    splits = {"train": (1, 2, 3), "val": (4,), "test": (5,)}
    for index in range(1, 6):
        drawn = scene(0, index, SIZE)
        Image.fromarray(drawn.image).save(root / "images" / f"{index:04d}.jpg", quality=95)
        Image.fromarray(drawn.label).save(root / "labels" / f"{index:04d}.png")
    for split, indices in splits.items():
        (root / f"{split}.txt").write_text("".join(f"{index:04d}\n" for index in indices))
    (root / "classes.txt").write_text("\n".join(SCENE_CLASSES.names))


def _runs(root: Path) -> None:
    """Train one run of each system, and copy it to all of its names."""
    for recipe, names in RUNS.items():
        settings = TINY | {"data": SCENES, "out": str(root / names[0])}
        settings |= {} if recipe == "fcn8s" else UNDILATED
        train(configure(recipe, settings), Console(quiet=True))
        for name in names[1:]:
            shutil.copytree(root / names[0], root / name)
