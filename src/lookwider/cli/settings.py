"""``key=value`` settings of the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lookwider.errors import ConfigError, unknown_name


class Settings(BaseModel):
    """The ``key=value`` settings of a command that reads data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, values: Mapping[str, str], also: Iterable[str] = ()) -> Self:
        """Read the settings of a command line.

        Args:
            values: from `parse_settings`.
            also: settings of the command that are read elsewhere, to be listed as known.

        Raises:
            ConfigError: a setting is unknown, missing or has no valid value.
        """
        fields = cls.model_fields
        for key in values:
            if key not in fields:
                raise ConfigError(unknown_name("setting", key, [*fields, *also]))
        if "data" in fields and fields["data"].is_required() and "data" not in values:
            raise ConfigError("which data? give data=PATH, or data=scenes for the built-in scenes")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ConfigError(
                f"{first['loc'][0]}={first['input']!s}: {first['msg'].lower()}"
            ) from error


def split_words(words: Sequence[str], kept: str | None = None) -> tuple[list[str], dict[str, str]]:
    """Return the words that are no settings, and the settings by name.

    A word with "=" is a setting unless there is a file of that name.

    Args:
        words: of a command line.
        kept: words that begin so are no settings either.

    Example:
        >>> split_words(["a.png", "scene:3,kind=road", "split=val"], "scene:")
        (['a.png', 'scene:3,kind=road'], {'split': 'val'})
    """
    others = [
        word
        for word in words
        if "=" not in word or (kept and word.startswith(kept)) or Path(word).exists()
    ]
    return others, parse_settings([word for word in words if word not in others])


def split_runs(words: Sequence[str]) -> tuple[list[Path], dict[str, str]]:
    """Return the runs among words, and the settings by name.

    Raises:
        ConfigError: there is no run.

    Example:
        >>> split_runs(["runs/a", "data=photos"])[1]
        {'data': 'photos'}
    """
    runs, values = split_words(words)
    if not runs:
        raise ConfigError("which runs? give one or several run folders, e.g. runs/a runs/b")
    return [Path(run) for run in runs], values


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """Return settings by name; what they mean is decided where they are used.

    Dashes in names are underscores, as in ``crop-size=96,128``.

    Raises:
        ConfigError: one has no "=", no name, or is given twice.

    Example:
        >>> parse_settings(["steps=60", "data=a=b"])
        {'steps': '60', 'data': 'a=b'}
    """
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not name:
            raise ConfigError(f"got {setting!r}, expected key=value, e.g. steps=4000")
        if name in values:
            raise ConfigError(f"{name} is given twice: {values[name]!r} and {value.strip()!r}")
        values[name] = value.strip()
    return values
