"""The built-in scenes by a short text, as ``scenes:count=200,size=120x160,seed=1``."""

from __future__ import annotations

import re

from lookwider.data.scenes.dataset import SceneDataset
from lookwider.errors import ConfigError, unknown_name

_FORMS = {"count": r"\d+", "size": r"\d+x\d+", "seed": r"\d+"}


def open_scenes(split: str | None, options: str = "") -> SceneDataset:
    """Return a split of the built-in scenes.

    Args:
        split: ``"train"``, ``"val"`` or ``"test"``; they share no image.
        options: ``count``, ``size`` (height x width) and ``seed``, as "key=value,key=value".

    Raises:
        ConfigError: an option is unknown or not of its form, or no split is named.

    Example:
        >>> len(open_scenes("val", "count=3,size=48x64"))
        3
    """
    if split is None:
        raise ConfigError("the built-in scenes are endless: name a split, train, val or test")
    given: dict[str, str] = {}
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key not in _FORMS:
            raise ConfigError(unknown_name("option of the built-in scenes", key, _FORMS))
        if not re.fullmatch(_FORMS[key], value):
            wanted = "HEIGHTxWIDTH, such as 120x160" if key == "size" else "a whole number"
            raise ConfigError(f"scenes: got {key}={value!r}, expected {wanted}")
        given[key] = value
    height, width = given.get("size", "128x160").split("x")
    return SceneDataset.split(
        split,
        count=int(given["count"]) if "count" in given else None,
        size=(int(height), int(width)),
        seed=int(given.get("seed", "0")),
    )
