"""Where a network's context can be read and replaced: between its two halves, or at a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lookwider.context import GlobalContext, PyramidContext, RegionSummary
from lookwider.context.regions import summarise_regions
from lookwider.errors import ConfigError, LookwiderError
from lookwider.layers.receptive_fields import named_tensors
from lookwider.models import Segmenter
from lookwider.probes.network import Network
from lookwider.probes.submodules import find_submodule, output_of
from lookwider.scores import ScoreMap

Values = tuple[Tensor, ...]
"""What a context holds of an image: a (1, C, b, b) tensor per grid of regions, or what a layer
gives."""

MOST_CLASSES = 255
"""Labels are 8 bit."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What a network says of one image.

    Attributes:
        labels: (H, W) uint8, the class of the highest score.
        probabilities: (K, H, W) float32, the softmax of the scores.
    """

    labels: Tensor
    probabilities: Tensor


class View(Protocol):
    """One image as a network sees it, with its context in the hand."""

    @property
    def values(self) -> Values:
        """What the context holds of this image."""
        ...

    def region(self, bins: int, index: int) -> Values:
        """Return such values that hold one region's average or maximum everywhere."""
        ...

    def decide(self, values: Values | None = None) -> Decision:
        """Return what the network says with these values instead of the image's own."""
        ...


class Slot(Protocol):
    """A place in a network where its context goes through."""

    @property
    def network(self) -> Network:
        """The network."""
        ...

    @property
    def name(self) -> str:
        """The place in words."""
        ...

    def view(self, image: Tensor) -> View:
        """Look at an image (1, C, H, W)."""
        ...


def open_slot(network: Network, layer: str | None = None) -> Slot:
    """Return where the context of a network goes through.

    Args:
        network: any; without a layer, a `Segmenter` with a context.
        layer: the layer whose output is the context, where the halves are not meant.

    Raises:
        ConfigError: the network has no context, or no such layer.
    """
    return TwoHalves(network) if layer is None else LayerOutput(network, layer)


class TwoHalves:
    """The context of a `Segmenter`: what ``context.summarise`` gives and ``context.fuse`` takes.

    Raises:
        ConfigError: the network is no `Segmenter`.
    """

    name = "the context"

    def __init__(self, network: Network) -> None:
        if network.segmenter is None:
            raise ConfigError(
                f"{network.name} is not a lookwider model, so where its context goes through is "
                "not known; name the layer whose output is the context (layer=, --layer)"
            )
        self.network, self.model = network, network.segmenter

    def view(self, image: Tensor) -> HalvesView:
        """Look at an image.

        Raises:
            ConfigError: the model has no context.
        """
        model = self.network.compiled() or self.model
        features = model.features(image)
        summary = model.context.summarise(features)
        if not isinstance(summary, RegionSummary) or not summary.values:
            raise ConfigError(
                f"{self.network.name} has no context to swap: it decides on a place from its "
                "receptive field alone; probe parsenet or pspnet, or name a layer (layer=, --layer)"
            )
        return HalvesView(model, image, features, summary)


@dataclass(frozen=True, eq=False)
class HalvesView:
    """An image's features and their summary."""

    model: Segmenter
    image: Tensor
    features: tuple[Tensor, ...]
    summary: RegionSummary

    @property
    def values(self) -> Values:
        """The average or maximum of each region, by grid of regions."""
        return self.summary.pooled()

    def region(self, bins: int, index: int) -> Values:
        """Return the average or maximum of region ``index`` of ``bins`` x ``bins``, everywhere.

        Raises:
            ConfigError: there is no such region, or the context is not of lookwider's kinds.
        """
        if bins < 1 or not 0 <= index < bins**2:
            raise ConfigError(
                f"got region {index} of {bins} x {bins}, expected 0 to {max(bins, 1) ** 2 - 1}, "
                "counted row by row"
            )
        context = self.model.context
        if not isinstance(context, (GlobalContext, PyramidContext)):
            raise ConfigError(
                f"regions are known of GlobalContext and PyramidContext, got a "
                f"{type(context).__name__}; replace its values by another image's"
            )
        row, col = divmod(index, bins)
        found = []
        for maps, own in zip(context.pooled_maps(self.features), self.values, strict=True):
            grid = summarise_regions(maps, (bins,), self.summary.pooling).pooled()[0]
            found.append(grid[..., row : row + 1, col : col + 1].expand_as(own))
        return tuple(found)

    def decide(self, values: Values | None = None) -> Decision:
        """Return what the model says with these averages or maxima in its context."""
        summary = self.summary if values is None else self.summary.with_pooled(values)
        size = (int(self.image.shape[-2]), int(self.image.shape[-1]))
        return _by_map(next(iter(self.model.classify(self.features, summary, size).values())))


class LayerOutput:
    """The output of a layer, of any module.

    Args:
        network: any.
        layer: a name as `find_submodule` takes it, such as that of a global average.

    Raises:
        ConfigError: there is no such layer.
    """

    def __init__(self, network: Network, layer: str) -> None:
        self.network = network
        self.layer, self.part = find_submodule(network, layer)
        self.name = f"the output of {self.layer}"

    def view(self, image: Tensor) -> LayerView:
        """Look at an image."""
        return LayerView(self, image, (self.network.activations(image, [self.layer])[self.layer],))


@dataclass(frozen=True, eq=False)
class LayerView:
    """An image and what a layer gives for it."""

    slot: LayerOutput
    image: Tensor
    values: Values

    def region(self, bins: int, index: int) -> Values:
        """Refuse: what a layer's output holds of which region is not known.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"a region's values are known of a model's own context, not of {self.slot.name}; "
            "replace them by another image's, the mean or zeros"
        )

    def decide(self, values: Values | None = None) -> Decision:
        """Return what the network says when the layer gives these values.

        Raises:
            LookwiderError: they have another shape than the layer's own.
        """
        if values is None:
            return _decide(self.slot.network, self.image)
        (own,), (given,) = self.values, values
        if own.shape != given.shape:
            raise LookwiderError(
                f"{self.slot.name} is {tuple(own.shape)} for this image but {tuple(given.shape)} "
                "for the other; name a layer after the average over the image, or give images of "
                "one size"
            )
        handle = self.slot.part.register_forward_hook(
            lambda _module, _inputs, output: _with_tensor(output, self.slot.layer, given)
        )
        try:
            return _decide(self.slot.network, self.image)
        finally:
            handle.remove()


def _with_tensor(output: Any, layer: str, tensor: Tensor) -> Any:
    """Return a module's output with the tensor that the layer's name means replaced."""
    old = output_of(layer, output)
    if output is old:
        return tensor
    if isinstance(output, Mapping):
        return {key: tensor if value is old else value for key, value in output.items()}
    return type(output)(tensor if value is old else value for value in output)


def _decide(network: Network, image: Tensor) -> Decision:
    if network.segmenter is not None:
        return _by_map(next(iter(network.segmenter.scores(image).values())))
    return _by_output(network.module, image)


def _by_map(scores: ScoreMap) -> Decision:
    return Decision(scores.labels()[0], scores.probabilities()[0])


def _by_output(module: nn.Module, image: Tensor) -> Decision:
    """Decide by the first map of a module's output, at the size that it has."""
    for _, logits in named_tensors(module(image)):
        if logits.dim() != 4 or not 2 <= logits.shape[1] <= MOST_CLASSES:
            raise LookwiderError(
                f"got an output of shape {tuple(logits.shape)}, expected scores (1, K, h, w) of "
                f"2 to {MOST_CLASSES} classes"
            )
        if torch.isnan(logits).any():
            raise LookwiderError("the network's scores hold NaN; the weights or image are damaged")
        return Decision(logits[0].argmax(0).to(torch.uint8), logits[0].float().softmax(0))
    raise LookwiderError("the network's output holds no tensor, expected scores (1, K, h, w)")
