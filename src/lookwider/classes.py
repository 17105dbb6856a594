"""Class names, palettes and the one explicit map from stored label values to class ids."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from lookwider.errors import DataError

IGNORE_INDEX = 255
"""The class id of pixels that are neither trained on nor scored."""

MAX_CLASSES = 255
"""Labels are 8 bit and 255 is ignore."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Classes:
    """The classes of a data set: id = position.

    Attributes:
        names: one name per class, all different.
        palette: one RGB colour per class.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MAX_CLASSES:
            raise DataError(f"got {len(self.names)} classes, expected 1 to {MAX_CLASSES}")
        if len(set(self.names)) != len(self.names):
            twice = sorted({n for n in self.names if self.names.count(n) > 1})
            raise DataError(f"class names must differ, got {', '.join(twice)} more than once")
        if len(self.palette) != len(self.names):
            raise DataError(
                f"got {len(self.palette)} colours for {len(self.names)} classes, expected one each"
            )
        if any(len(c) != 3 or any(not 0 <= v <= 255 for v in c) for c in self.palette):
            raise DataError("a palette colour must be three numbers from 0 to 255 (RGB)")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def numbered(cls, count: int) -> Classes:
        """Return classes "class 0", "class 1", ... with well separated colours.

        Example:
            >>> Classes.numbered(2).names
            ('class 0', 'class 1')
        """
        return cls.named([f"class {i}" for i in range(count)])

    @classmethod
    def named(cls, names: Sequence[str]) -> Classes:
        """Return classes of these names with well separated colours."""
        return cls(tuple(names), distinct_colours(len(names)))

    def palette_array(self) -> npt.NDArray[np.uint8]:
        """Return a (256, 3) lookup table; ids without a class, ignore too, are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.palette)] = self.palette
        return table


@dataclass(frozen=True)
class ClassMap:
    """How label values as stored in files become class ids.

    Attributes:
        ids: stored value -> class id; of a colour-coded label the value is 0xRRGGBB.
        ignore: stored values that become 255.
        encoding: ``"index"`` where a pixel holds one number (grey or palette images),
            ``"rgb"`` where it holds a colour.

    A stored value in neither is an error that names the file, never a silent class.
    """

    ids: Mapping[int, int] = field(default_factory=dict)
    ignore: frozenset[int] = frozenset({IGNORE_INDEX})
    encoding: Literal["index", "rgb"] = "index"

    @classmethod
    def identity(cls, num_classes: int, ignore: Sequence[int] = (IGNORE_INDEX,)) -> ClassMap:
        """Return the map of labels that already hold class ids.

        Example:
            >>> ClassMap.identity(2).ids
            {0: 0, 1: 1}
        """
        return cls({i: i for i in range(num_classes)}, frozenset(ignore))


def distinct_colours(count: int) -> tuple[Colour, ...]:
    """Return ``count`` RGB colours, hues spread by the golden ratio.

    Example:
        >>> len(set(distinct_colours(60)))
        60
    """
    colours = []
    for i in range(count):
        hue = (0.02 + i * 0.618033988749895) % 1.0
        saturation, value = (0.72, 0.55, 0.9)[i % 3], (0.95, 0.8, 0.6)[(i // 3) % 3]
        red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colours)
