"""The two halves of a context module.

``summarise`` turns the features of an image, or of a part of it, into a small summary that does
not grow with the image; ``fuse`` adds a summary to the features of every place. Summaries of an
image's parts merge, exactly, into the summary of the image. Training summarises and fuses the
same map; larger images are summarised part by part; and a summary can be kept, swapped or left
out, to see what the context did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import torch
from torch import nn

from lookwider.backbones.contract import Features
from lookwider.layers.region_sums import Place


class Summary(Protocol):
    """What a context saw: sums and counts, or maxima, per region of the image."""

    def merge(self, other: Self) -> Self:
        """Return the summary of both parts together."""
        ...

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Self:
        """Return the same with its values on a device, in a dtype."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that anything could depend on."""
        ...


class Context(Protocol):
    """A context module.

    Attributes:
        channels: widths of the fused maps.
    """

    channels: tuple[int, ...]

    def summarise(self, features: Features, places: Sequence[Place] | None = None) -> Any:
        """Return what these features say of the whole picture.

        Args:
            features: maps of an image, or of a tile of it.
            places: where each map of a tile lies in the image's; None for a whole image.

        Returns:
            A `Summary`.
        """
        ...

    def fuse(
        self, features: Features, summary: Any, places: Sequence[Place] | None = None
    ) -> Features:
        """Return the features with what the context adds to each place.

        A fused map of 1 x 1 cells holds for every place: it is never replicated. Within
        `lookwider.layers.deferred.deferring` a fused map may be deferred.
        """
        ...


class EmptySummary:
    """The summary of a network without context."""

    def merge(self, other: EmptySummary) -> EmptySummary:
        """Return the empty summary."""
        return self

    def to(self, device: torch.device | str, dtype: torch.dtype) -> EmptySummary:
        """Return the empty summary."""
        return self

    @property
    def is_empty(self) -> bool:
        """It is."""
        return True


class NoContext(nn.Module):
    """No context: FCN decides on a place from its receptive field alone.

    Args:
        channels: widths of the trunk's maps.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels

    def summarise(self, features: Features, places: Sequence[Place] | None = None) -> EmptySummary:
        """Return the empty summary."""
        return EmptySummary()

    def fuse(
        self, features: Features, summary: EmptySummary, places: Sequence[Place] | None = None
    ) -> Features:
        """Return the features as they are."""
        return features
