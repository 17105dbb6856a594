"""``classes.json`` and ``classes.txt``: a folder's own classes and class map, as text.

``classes.json``::

    {
      "encoding": "index",
      "classes": [
        {"name": "road", "values": [0], "colour": "#804080"},
        {"name": "car", "values": [1, 7]}
      ],
      "ignore": [255]
    }

``values`` are the numbers as stored in the label files, or colours "#rrggbb" where ``encoding``
is ``"rgb"``; the position in the list is the class id. ``colour`` and ``ignore`` may be left out.

``classes.txt``: one class name a line; line i (from 0) names the stored value i, 255 is ignored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lookwider.classes import Classes, ClassMap, Colour, distinct_colours
from lookwider.data.labels import format_value, unpack_rgb
from lookwider.data.readers.pairs import read_names
from lookwider.errors import DataError

HexColour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
StoredValue = HexColour | int


class _ClassEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: Annotated[str, Field(min_length=1)]
    values: Annotated[list[StoredValue], Field(min_length=1)]
    colour: HexColour | None = None


class _ClassFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    encoding: Literal["index", "rgb"] = "index"
    classes: Annotated[list[_ClassEntry], Field(min_length=1)]
    ignore: list[StoredValue] = []


def find_class_file(folder: Path) -> Path | None:
    """Return the folder's ``classes.json`` or ``classes.txt``, or None."""
    for name in ("classes.json", "classes.txt"):
        if (folder / name).is_file():
            return folder / name
    return None


def read_class_file(path: Path) -> tuple[Classes, ClassMap]:
    """Read a ``classes.json`` or ``classes.txt``.

    Raises:
        DataError: the file is not of the form above; the message names the entry.
    """
    if path.suffix.lower() == ".txt":
        names = read_names(path)
        if not names:
            raise DataError(f"{path}: is empty, expected one class name a line")
        return _named(path, names, distinct_colours(len(names))), ClassMap.identity(len(names))
    try:
        parsed = _ClassFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(
            f"{path}: {where}: {first['msg']}; `lookwider data check` prints a file that fits"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return _parsed(path, parsed)


def _parsed(path: Path, parsed: _ClassFile) -> tuple[Classes, ClassMap]:
    spread = distinct_colours(len(parsed.classes))
    colours = [
        unpack_rgb(int(entry.colour[1:], 16)) if entry.colour else spread[i]
        for i, entry in enumerate(parsed.classes)
    ]
    ids: dict[int, int] = {}
    for index, entry in enumerate(parsed.classes):
        for value in entry.values:
            number = _number(path, value, parsed.encoding)
            if number in ids:
                raise DataError(f"{path}: the value {value} belongs to two classes")
            ids[number] = index
    ignore = frozenset(_number(path, value, parsed.encoding) for value in parsed.ignore)
    if both := ignore & ids.keys():
        raise DataError(f"{path}: the value {min(both)} is both a class and ignored")
    classes = _named(path, [entry.name for entry in parsed.classes], tuple(colours))
    return classes, ClassMap(ids, ignore, parsed.encoding)


def _named(path: Path, names: list[str], colours: tuple[Colour, ...]) -> Classes:
    try:
        return Classes(tuple(names), colours)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _number(path: Path, value: str | int, encoding: str) -> int:
    if isinstance(value, str) != (encoding == "rgb"):
        wanted = 'a colour "#rrggbb"' if encoding == "rgb" else "a number"
        raise DataError(f"{path}: got the value {value!r}, expected {wanted} ({encoding=!s})")
    return int(value[1:], 16) if isinstance(value, str) else value


def format_class_file(classes: Classes, class_map: ClassMap) -> str:
    """Return the text of a ``classes.json`` with these classes.

    Example:
        >>> text = format_class_file(Classes.numbered(2), ClassMap.identity(2))
        >>> json.loads(text)["ignore"]
        [255]
    """
    encoding = class_map.encoding

    def stored(value: int) -> str:
        return json.dumps(format_value(value, "rgb") if encoding == "rgb" else value)

    lines = []
    for index, (name, colour) in enumerate(zip(classes.names, classes.palette, strict=True)):
        values = ", ".join(stored(v) for v in sorted(class_map.ids) if class_map.ids[v] == index)
        shown = "#{:02x}{:02x}{:02x}".format(*colour)
        quoted = json.dumps(name, ensure_ascii=False)
        lines.append(f'    {{"name": {quoted}, "values": [{values}], "colour": "{shown}"}}')
    entries = ",\n".join(lines)
    ignore = ", ".join(stored(value) for value in sorted(class_map.ignore))
    return (
        f'{{\n  "encoding": "{encoding}",\n  "classes": [\n{entries}\n  ],\n'
        f'  "ignore": [{ignore}]\n}}\n'
    )
