"""``key=value`` settings of the command line."""

from __future__ import annotations

from collections.abc import Sequence

from lookwider.errors import ConfigError


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
