"""Results never replace the images that they are of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lookwider.errors import ConfigError

RESULTS = (".png", ".tif", "_overlay.jpg", "_overlay.png", "_probabilities.npz")
"""How the files of an image's results end, after its name."""


def check_images_stay(images: Iterable[tuple[str | Path, str]], out: str | Path) -> None:
    """Check that no result would replace an image.

    Args:
        images: their files, and the names of their results.
        out: folder of the results.

    Raises:
        ConfigError: one would.
    """
    base = Path(os.path.realpath(out))
    within, names = set(), []
    for path, name in images:
        names.append(name)
        found = Path(os.path.realpath(path))
        if found.is_relative_to(base):
            within.add(found)
    if not within:
        return
    for name in names:
        for suffix in RESULTS:
            target = base / f"{name}{suffix}"
            if target in within:
                raise ConfigError(
                    f"got {out} for the results, where {target.relative_to(base)} is one of the "
                    "images and would be replaced; choose another folder with --out"
                )
