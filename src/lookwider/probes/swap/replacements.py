"""What can stand in for an image's context: another image's, a mean, zeros, one region's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from rich.console import Console

from lookwider.errors import LookwiderError
from lookwider.inference.memory import memory_advice
from lookwider.inference.progress import ImageProgress
from lookwider.layers.modes import evaluating
from lookwider.models.segmenter import ImageLike
from lookwider.probes.images import Images, count_images, sample_of
from lookwider.probes.network import Network
from lookwider.probes.swap.slots import Slot, Values, View, open_slot


class Replacement(Protocol):
    """Gives the values that stand in for an image's own."""

    @property
    def name(self) -> str:
        """What stands in, in words."""
        ...

    def values(self, slot: Slot, own: View) -> Values:
        """Return the values; ``own`` is the image whose context is replaced."""
        ...


@dataclass(frozen=True, eq=False)
class OtherImage:
    """Another image's context.

    Attributes:
        image: the other image, of any size.
        name: what it is called.
    """

    image: ImageLike
    name: str = "another image's"

    def values(self, slot: Slot, own: View) -> Values:
        """Return what the context holds of the other image."""
        return slot.view(slot.network.image(self.image)).values


@dataclass(frozen=True)
class Zeros:
    """Nothing: every average or maximum is zero.

    Not the same as a network without context: biases and batch normalisation go on.
    """

    name: str = "zeros"

    def values(self, slot: Slot, own: View) -> Values:
        """Return zeros of the same shapes."""
        return tuple(torch.zeros_like(value) for value in own.values)


@dataclass(frozen=True)
class OneRegion:
    """One region's, as though the whole picture were like it.

    Attributes:
        bins: the regions are those of a grid of ``bins`` x ``bins``, which need not be the
            context's own.
        index: which of them, counted row by row from 0.
    """

    bins: int
    index: int

    @property
    def name(self) -> str:
        """The region in words."""
        row, col = divmod(self.index, max(self.bins, 1))
        return f"that of region {row},{col} of {self.bins} x {self.bins}"

    def values(self, slot: Slot, own: View) -> Values:
        """Return the region's average or maximum, everywhere."""
        return own.region(self.bins, self.index)


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean context of several images, each counted alike.

    Attributes:
        mean: the values.
        images: how many it is the mean of.
    """

    mean: Values
    images: int

    @property
    def name(self) -> str:
        """How many images, in words."""
        return f"the mean of {self.images} images"

    def values(self, slot: Slot, own: View) -> Values:
        """Return the mean."""
        return self.mean


def mean_context(
    network: Network,
    images: Images,
    *,
    layer: str | None = None,
    limit: int | None = None,
    console: Console | None = None,
    show: bool = True,
) -> Mean:
    """Return the mean context of images, one after the other; sums are float64.

    Args:
        network: with a context, or any with ``layer``.
        images: a data set, or a list of images.
        layer: the layer whose output is the context.
        limit: take at most so many.
        console: where progress is shown; standard error when None.
        show: whether it is.

    Raises:
        ConfigError: the network has no context, or no such layer.
        DataError: there is no image.
    """
    slot, count = open_slot(network, layer), count_images(images, limit)
    sums: Values = ()
    with (
        evaluating(network.module),
        torch.inference_mode(),
        ImageProgress("mean context", count, console, show=show) as progress,
    ):
        for index in range(count):
            sample = sample_of(images, index)
            with memory_advice(sample.name):
                values = slot.view(network.image(sample.image)).values
            sums = _added(sums, values, slot, sample.name)
            progress.advance()
    return Mean(tuple((s / count).to(v.dtype) for s, v in zip(sums, values, strict=True)), count)


def _added(sums: Values, values: Values, slot: Slot, name: str) -> Values:
    """Return the sums with another image's values; the first image's alone at the start."""
    if not sums:
        return tuple(value.double() for value in values)
    for total, value in zip(sums, values, strict=True):
        if total.shape != value.shape:
            raise LookwiderError(
                f"{name}: {slot.name} is {tuple(value.shape)}, that of the images before it "
                f"{tuple(total.shape)}; name a layer after the average over the image, or give "
                "images of one size"
            )
    return tuple(total + value for total, value in zip(sums, values, strict=True))
