"""Make the pictures of the documentation.

``python docs/pictures.py`` draws the built-in scenes. ``python docs/pictures.py FOLDER`` also
takes over what the commands of docs/get-started.md left in FOLDER, and ``lookwider demo`` in
FOLDER/demo. Every picture is stored with 256 colours, so that a clone stays small.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lookwider.data.scenes import SCENE_CLASSES, scene
from lookwider.images import overlay

IMAGES = Path(__file__).parent / "images"

SHOWN = ((3, "lake"), (3, "road"), (11, "street"), (11, "skyline"), (2, "bedroom"))
"""Picture and kind: each pair is the same picture in another context."""

SIZE = (160, 200)
GAP = 4

TAKEN = {
    "data-check/pictures.png": "data-check.png",
    "runs/first/evaluation/test/worst.png": "worst.png",
    "runs/first/evaluation/test/confusion.png": "confusion.png",
}
"""Files of the tutorial and what they are called here."""


def scenes_picture() -> Image.Image:
    """Return the kinds of scene: the images above, their labels laid over below."""
    height, width = SIZE
    sheet = Image.new("RGB", (len(SHOWN) * (width + GAP) - GAP, 2 * (height + GAP) - GAP), "white")
    for column, (index, kind) in enumerate(SHOWN):
        shown = scene(0, index, SIZE, kind=kind)
        left = column * (width + GAP)
        sheet.paste(Image.fromarray(shown.image), (left, 0))
        labelled = overlay(shown.image, shown.label, SCENE_CLASSES, 0.8)
        sheet.paste(labelled, (left, height + GAP))
    return sheet


def predictions_picture(folder: Path) -> Image.Image:
    """Return test images of the tutorial beside what the network says of them."""
    names = [f"{index:04d}" for index in (0, 1, 2, 3, 4)]
    rows = [
        [np.asarray(Image.open(path.format(name)).convert("RGB")) for name in names]
        for path in (
            f"{folder}/pictures/test/images/{{}}.png",
            f"{folder}/predictions/{{}}_overlay.jpg",
        )
    ]
    return Image.fromarray(np.vstack([np.hstack(row) for row in rows]))


def swap_picture(folder: Path) -> Image.Image:
    """Return the demo's road, what is said of it, and what with the context of the demo's lake."""
    road, lake = (Image.open(folder / "scenes" / f"{kind}.png") for kind in ("road", "lake"))
    labels = np.load(folder / "context-swap" / "swap.npz")
    said = [
        Image.fromarray(np.asarray(SCENE_CLASSES.palette, np.uint8)[labels[name]])
        for name in ("before", "after")
    ]
    panels = {
        "a road": road,
        "with its own context": said[0],
        "a lake": lake,
        "the road with the lake's context": said[1],
    }
    width, height, line = 3 * road.width, 3 * road.height, 34
    sheet = Image.new("RGB", (2 * width + GAP, 2 * (height + line)), "white")
    font = ImageFont.load_default(22)
    for index, (words, panel) in enumerate(panels.items()):
        left, top = index % 2 * (width + GAP), index // 2 * (height + line)
        ImageDraw.Draw(sheet).text((left + 4, top + 3), words, "black", font)
        large = panel.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(large, (left, top + line))
    return sheet


def save(picture: Image.Image, name: str) -> None:
    """Write a picture with 256 colours."""
    path = IMAGES / name
    path.parent.mkdir(exist_ok=True)
    picture.convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1024} kB")


def main() -> None:
    """Make them all."""
    save(scenes_picture(), "scenes.png")
    for folder in map(Path, sys.argv[1:]):
        if (folder / "demo").is_dir():
            save(swap_picture(folder / "demo"), "boat-or-car.png")
        if (folder / "pictures").is_dir():
            for source, name in TAKEN.items():
                with Image.open(folder / source) as picture:
                    save(picture, name)
            save(predictions_picture(folder), "predictions.png")


if __name__ == "__main__":
    main()
