"""How the commands of the pages are made small: other sizes and counts, the same work.

A command is first parsed with its own arguments. Then

- trainings take two steps of two crops of 32 x 32 on timm's smallest ResNet, whatever they say;
- networks of Python blocks stand on a small trunk;
- the built-in scenes are two of 48 x 64, data sets that are a placeholder the small photographs;
- sizes of crops, windows and measurements shrink, limits of images too;
- reports look at one image, and leave out what takes longest;
- figures are put together and not drawn: tests of their own draw them.
"""

from __future__ import annotations

import re

from tests.docs.assumed import SCENES, SIZE, TINY, UNDILATED

SCENE_SIZE = f"{SIZE[0]}x{SIZE[1]}"

TRUNK = "mobilenetv2_035"
"""A small trunk that can be dilated."""

REPORT = {
    "limit": "2",
    "images": "1",
    "probed": "1",
    "swapped": "2",
    "without": "fields,failures",
}

REPLACED = {
    "crop_size": "32", "base_size": "48", "limit": "2",
}  # fmt: skip
"""Settings that replace a command's own where it has them."""

OPTIONS = {
    "--crop-size": "32", "--base-size": "48", "--size": SCENE_SIZE, "--rounds": "1",
    "--window": "16", "--stride": "16", "--at": "24,32", "--classes": "5", "--workers": "1",
    "--jobs": "1",
    "--max-memory": "64GB",  # the process of the tests holds more than a command
}  # fmt: skip
"""Options whose values are replaced where a command has them."""

PYTHON = (
    (r'"steps": 4000', ", ".join(f'"{name}": "{value}"' for name, value in TINY.items())),
    (r'"scenes:(count=\{count\}|size=[^"]*)"', f'"{SCENES}"'),
    (r'"train": 400, "val": 40, "test": 40', '"train": 3, "val": 3, "test": 3'),
    (r'SceneDataset.split\("test"\)', f'SceneDataset.split("test", count=2, size={SIZE})'),
    (r"\(96, 128\)", str(SIZE)),
    (r"max_memory=2 \* 10\*\*9", "max_memory=64 * 10**9"),
    (r"stride=32\)", "stride=4)"),
    (r"Collecting\(batch_size=10", "Collecting(batch_size=10, probed=1, swapped=2"),
    (r"crop_size=\(713, 713\), base_size=2048", "crop_size=(32, 32), base_size=48"),
    (r'backbone="(vgg16|resnet50)"', f'backbone="{TRUNK}"'),
    (r'create_model\("pspnet", num', f'create_model("pspnet", backbone="{TRUNK}", num'),
)
"""Patterns in Python blocks, and what replaces them."""


def shorten_words(words: list[str]) -> list[str]:
    """Return a ``lookwider`` command that takes a second.

    Example:
        >>> shorten_words(["lookwider", "evaluate", "runs/a", "data=PATH", "crop_size=713"])
        ['lookwider', 'evaluate', 'runs/a', 'data=photos', 'crop_size=32']
    """
    shortened, option = [], ""
    overridden = overriding(words)
    for word in words:
        name, equals, value = word.partition("=")
        if option in OPTIONS:
            word = OPTIONS[option]
        elif word.startswith("scene:"):
            word = re.sub(r"size=\d+x\d+", f"size={SCENE_SIZE}", word)
        elif equals and name in overridden:
            word = ""
        elif equals and name in REPLACED:
            word = f"{name}={REPLACED[name]}"
        elif name == "data" and value.startswith("scenes"):
            word = f"data={SCENES}"
        option = word if word.startswith("--") else ""
        shortened += [word.replace("PATH", "photos")] if word else []
    return shortened + [f"{name}={value}" for name, value in overridden.items()]


def overriding(words: list[str]) -> dict[str, str]:
    """Return the settings that replace a command's own, whatever it has."""
    if len(words) < 3 or words[2].startswith("-"):
        return {}
    if words[1] == "train":
        return TINY if words[2].startswith("fcn") else TINY | UNDILATED
    return REPORT if words[1] == "report" else {}


def shorten_python(text: str) -> str:
    """Return a block of Python that takes a second."""
    for pattern, replacement in PYTHON:
        text = re.sub(pattern, replacement, text)
    return text
