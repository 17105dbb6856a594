"""What every head offers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, cast

from torch import nn
from torch.nn.modules.module import _has_any_global_hook

from lookwider.backbones import Features
from lookwider.context import Context
from lookwider.layers.deferred import deferring, is_unobserved
from lookwider.layers.grids import Grid
from lookwider.layers.region_sums import Place
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


def fused_for(
    heads: Collection[nn.Module],
    context: Context,
    features: Features,
    summary: Any,
    places: Sequence[Place] | None = None,
) -> Features:
    """Return the fused maps, deferred if all heads do nothing with them but convolve them.

    A head of this package says so by ``takes_deferred_maps = True``. Every other head, and whoever
    watches a layer, gets ordinary tensors; `DeferredMap` says why.

    Args:
        heads: those that the maps are for.
        context: of the network.
        features: of an image, or of a tile of it.
        summary: of the context.
        places: of a tile's maps.
    """
    taken = all(getattr(head, "takes_deferred_maps", False) for head in heads)
    taken = taken and is_unobserved(features[0])
    if taken and all(_is_unwatched(part) for part in (cast(nn.Module, context), *heads)):
        with deferring():
            return context.fuse(features, summary, places)
    return context.fuse(features, summary, places)


_KNOWN = ("torch.nn.", "torch.fx.", "lookwider.")
"""Where layers are from that only call PyTorch's functions."""


def _is_unwatched(module: nn.Module) -> bool:
    """Whether a module's layers are known and none has a hook, is compiled or was replaced."""
    has_any_global_hook = cast(Callable[[], bool], _has_any_global_hook)
    return not has_any_global_hook() and all(
        type(part).__module__.startswith(_KNOWN)
        and "forward" not in vars(part)
        and part._compiled_call_impl is None
        and not (part._forward_hooks or part._forward_pre_hooks)
        and not (part._backward_hooks or part._backward_pre_hooks)
        for part in module.modules()
    )
