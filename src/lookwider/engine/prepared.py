"""What is prepared of a convolution's weights, as long as they stay the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Prepared:
    """What is made of weights for one way to convolve or another.

    Args:
        weights: what it is made of.

    Attributes:
        packed: the size of the maps of last time; the weights for such maps, if it came twice.
        transformed: the weights for Winograd's convolution.
        shares: the convolution of a pyramid's map, and the taps of its grids.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        # kept, so that no other weights may come to lie where these were
        self._weights = [weight.detach() for weight in weights]
        self._versions = [_version(weight) for weight in weights]
        self.packed: tuple[torch.Size, tuple[Tensor, ...]] | None = None
        self.transformed: Tensor | None = None
        self.shares: tuple[nn.Module, list[Tensor]] | None = None

    def is_of(self, weights: Sequence[Tensor]) -> bool:
        """Whether the weights are those that it was made of, and were not changed in place."""
        return len(weights) == len(self._weights) and all(
            version is not None and version == _version(weight) and _same_place(weight, own)
            for weight, own, version in zip(weights, self._weights, self._versions, strict=True)
        )


def _version(weight: Tensor) -> int | None:
    """Return how often a tensor was changed in place; inference tensors do not count that."""
    return None if weight.is_inference() else weight._version


def _same_place(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr()
