"""Errors that people read: what was got, what was expected, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LookwiderError(ValueError):
    """A mistake in what the user gave: the message says got, expected and fix."""


class DataError(LookwiderError):
    """A file of the user's data is broken, missing or inconsistent."""


class ConfigError(LookwiderError):
    """A setting is unknown, misspelt or out of range."""


class CheckpointError(LookwiderError):
    """A checkpoint is incomplete, damaged or does not fit the model."""


class MissingExtraError(ImportError):
    """An optional library is not installed; the message says the exact command."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {library}, which is not installed; "
            f"install it with: pip install 'lookwider[{extra}]'"
        )


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name nearest to ``name`` in spelling, or None when none is near.

    Example:
        >>> closest("bakbone", ["backbone", "steps"])
        'backbone'
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not known: the names, and the closest one.

    Example:
        >>> unknown_name("model", "fcn8", ["fcn32s", "fcn8s"])
        "unknown model 'fcn8'; did you mean 'fcn8s'? known: fcn32s, fcn8s"
    """
    names = sorted(known)
    match = closest(name, names)
    hint = f"; did you mean {match!r}?" if match else ";"
    return f"unknown {kind} {name!r}{hint} known: {', '.join(names)}"


def check_choice(kind: str, value: object, known: Iterable[str]) -> None:
    """Raise a `ConfigError` that lists the known values when ``value`` is none of them.

    Example:
        >>> check_choice("norm", "batch", ("batch", "group"))
    """
    if value not in (names := tuple(known)):
        raise ConfigError(unknown_name(kind, str(value), names))
