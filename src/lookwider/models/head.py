"""What every head offers."""

from __future__ import annotations

from typing import Protocol

from lookwider.backbones import Features
from lookwider.layers.grids import Grid
from lookwider.scores import ScoreMap


class Head(Protocol):
    """Maps fused features to class scores.

    Attributes:
        alignment: how the scores come to lie on the image, in words.
        grid: where the cells of the scores lie in the image.
        fixed_weights: weights that a release stores and that are computed here.
    """

    @property
    def alignment(self) -> str:
        """See the class."""
        ...

    @property
    def grid(self) -> Grid:
        """See the class."""
        ...

    @property
    def fixed_weights(self) -> int:
        """See the class."""
        ...

    def __call__(self, features: Features, size: tuple[int, int]) -> ScoreMap:
        """Return the scores of an image of this (height, width)."""
        ...
