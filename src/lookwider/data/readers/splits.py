"""Splits by name: their usual spellings, and a steady hold-out where a data set has none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
    "trainval": ("trainval",),
}
"""The splits, and how folders and files spell them."""

HELD_OUT = 10
"""One of this many images is held out for validation."""


def split_of(name: str) -> str | None:
    """Return the split that a folder or file name stands for, or None.

    Example:
        >>> split_of("Validation"), split_of("paris")
        ('val', None)
    """
    return next((s for s, known in SPLIT_NAMES.items() if name.lower() in known), None)


def held_out(names: Iterable[str]) -> frozenset[str]:
    """Return a tenth of the names, at least one of two or more: the same ones every time.

    The choice depends on each name alone (and the count), never on the order of the files.
    """
    ranked = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return frozenset(ranked[: max(1, round(len(ranked) / HELD_OUT)) if len(ranked) > 1 else 0])


def hold_out(names: Sequence[str], split: str) -> list[str]:
    """Return the names of ``"train"`` or ``"val"`` of a data set without splits."""
    val = held_out(names)
    return [name for name in names if (name in val) == (split == "val")]
