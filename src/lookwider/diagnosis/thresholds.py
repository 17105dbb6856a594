"""The numbers that the definitions of the failure kinds leave open."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from lookwider.errors import ConfigError, check_choice

Together = Literal["image", "touching"]
"""What it means that two classes were seen together: in one image, or next to each other."""

LEAST_PIXELS = 4
"""An object has at least so many pixels, however small the image."""


@dataclass(frozen=True)
class Thresholds:
    """Where the failure kinds begin. All are shares, but for ``contrast``.

    Attributes:
        together: two classes are together where they are in one image, or where they touch.
        rare: classes that are together in less than this share of the training images that hold
            the predicted one do not belong together.
        mostly: share of an object's border that must be of classes that do not belong to it.
        part: share of an object that each of two classes must get to be a part of it.
        small: share of the image below which an object is small.
        contrast: below this an object is alike its surroundings; in standard deviations.
        alike: share of the image below which such an object is inconspicuous; a larger one is
            scenery.
        missed: recall of an object below which it is missed.
        least: share of the image below which an object is not looked at.

    Raises:
        ConfigError: one is out of range.

    Example:
        >>> Thresholds(small=0.02).least_pixels((96, 128))
        4
    """

    together: Together = "touching"
    rare: float = 0.01
    mostly: float = 0.5
    part: float = 0.2
    small: float = 0.01
    contrast: float = 1.0
    alike: float = 0.05
    missed: float = 0.25
    least: float = 1e-4

    def __post_init__(self) -> None:
        check_choice("together", self.together, ("image", "touching"))
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "together":
                continue
            if each.name == "contrast":
                if not 0 <= value < math.inf:
                    raise ConfigError(f"got contrast={value}, expected a finite number from 0 up")
            elif not 0 <= value <= 1:
                raise ConfigError(f"got {each.name}={value}, expected a share from 0 to 1")
        if not 0 < self.part <= 0.5:
            raise ConfigError(
                f"got part={self.part}, expected more than 0 and at most 0.5: "
                "two classes share an object"
            )

    def least_pixels(self, size: tuple[int, int]) -> int:
        """Return how many pixels an object of an image of this size has at least."""
        return max(LEAST_PIXELS, round(self.least * size[0] * size[1]))

    def to_json(self) -> dict[str, Any]:
        """Return the values by name."""
        return asdict(self)
