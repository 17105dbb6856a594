"""The protocol of ``lookwider evaluate`` and ``lookwider predict``, from words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lookwider.errors import ConfigError

if TYPE_CHECKING:
    from lookwider.inference.protocol import InferenceProtocol


def parse_protocol(values: Mapping[str, str | None]) -> InferenceProtocol:
    """Return the protocol that settings mean; one that is absent or None is the protocol's own.

    Args:
        values: ``protocol``, a name; and any of ``scales``, ``flip``, ``crop_size``,
            ``base_size`` and ``stride_rate``.

    Raises:
        ConfigError: one has no valid value.

    Example:
        >>> parse_protocol({"scales": "0.5,1", "crop_size": "96x128"}).crop_size
        (96, 128)
    """
    from lookwider.inference.protocol import named_protocol

    changes: dict[str, Any] = {}
    for name, (read, expected) in READERS.items():
        given = values.get(name)
        if given is not None:
            try:
                changes[name] = read(given.lower())
            except (ValueError, KeyError) as error:
                raise ConfigError(f"got {name}={given}, expected {expected}") from error
    return named_protocol(values.get("protocol") or "whole", **changes)


def _scales(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _flip(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _crop_size(text: str) -> tuple[int, int] | None:
    if text == "none":
        return None
    sides = [int(part) for part in text.replace("x", ",").split(",")]
    height, width = sides * 2 if len(sides) == 1 else sides
    return height, width


def _base_size(text: str) -> int | None:
    return None if text == "none" else int(text)


READERS: dict[str, tuple[Callable[[str], object], str]] = {
    "scales": (_scales, "numbers with commas, e.g. 0.5,1,1.5"),
    "flip": (_flip, "true or false"),
    "crop_size": (_crop_size, "a side, height,width or none, e.g. 473 or 512,1024"),
    "base_size": (_base_size, "a number of pixels or none, e.g. 512"),
    "stride_rate": (float, "a number, e.g. 0.667"),
}

PROTOCOL_SETTINGS = ("protocol", *READERS)
"""The names that `parse_protocol` reads."""
