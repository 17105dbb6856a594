"""Layers by name: the end of one is enough, and an unknown one is told its closest."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from lookwider.errors import ConfigError

NEAR = 5
"""Layers that the message for an unknown one lists."""


def full_name(name: str, known: Collection[str], network: str) -> str:
    """Return the full name of a layer; the end of it is enough where only one ends so.

    Args:
        name: as it was given.
        known: full names.
        network: name of the network, for messages.

    Raises:
        ConfigError: there is no such layer, or several; the message lists at most `NEAR`.

    Example:
        >>> full_name("fc7", ["backbone.fc6", "backbone.fc7"], "fcn8s")
        'backbone.fc7'
    """
    if name in known:
        return name
    ends = [full for full in known if full.endswith(f".{name}")] if name else []
    if len(ends) == 1:
        return ends[0]
    if ends:
        more = f" and {len(ends) - NEAR} more" if len(ends) > NEAR else ""
        raise ConfigError(
            f"layer {name!r} may be any of: {', '.join(ends[:NEAR])}{more}; name one in full"
        )
    near = _closest(name, list(known))
    hint = f"the closest are {', '.join(near)}" if near else f"it has {', '.join([*known][:NEAR])}"
    raise ConfigError(f"unknown layer {name!r} of {network}; {hint}, of {len(known)} layers in all")


def _closest(name: str, known: Sequence[str]) -> list[str]:
    """Return the names whose end, of as many parts, is the nearest in spelling."""
    parts = name.count(".") + 1
    ends: dict[str, list[str]] = {}
    for full in known:
        ends.setdefault(".".join(full.split(".")[-parts:]), []).append(full)
    near = difflib.get_close_matches(name, ends, n=NEAR)
    return [full for end in near for full in ends[end]][:NEAR]
