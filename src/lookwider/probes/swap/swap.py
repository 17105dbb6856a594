"""Replace what one image's context holds, and see which pixels change, to what, by how much."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.table import Table
from torch import nn

from lookwider.classes import Classes
from lookwider.images import write_bytes
from lookwider.inference.memory import memory_advice
from lookwider.layers.modes import evaluating
from lookwider.layers.region_sums import region_bounds
from lookwider.models.segmenter import ImageLike, image_array
from lookwider.probes.network import Network
from lookwider.probes.swap.moves import Move, Moves, classes_of, compare
from lookwider.probes.swap.pictures import SwapPicture, swap_picture
from lookwider.probes.swap.replacements import OneRegion, OtherImage, Replacement
from lookwider.probes.swap.slots import Slot, open_slot

SHOWN_MOVES = 6
"""Moves from class to class that the picture names."""


@dataclass(frozen=True, eq=False)
class ContextSwap:
    """What a replaced context did to the labels of one image.

    Attributes:
        name: of the image.
        network: the network's name.
        slot: where the context was replaced, in words.
        replaced_by: what stood in for it, in words.
        classes: names and colours, id = position.
        image: (H, W, C) as it was read.
        other: the image, or the part of this one, that the context was taken from; or None.
        before: (H, W) uint8 labels with the image's own context; of a module whose output is
            smaller than the image, at the output's size.
        after: labels with the replaced context.
        variation: (H, W) float32, the total variation distance of the probabilities, 0 to 1.
        moves: which class became which.
    """

    name: str
    network: str
    slot: str
    replaced_by: str
    classes: Classes
    image: npt.NDArray[np.generic]
    other: npt.NDArray[np.generic] | None
    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]
    variation: npt.NDArray[np.float32]
    moves: Moves

    @property
    def changed(self) -> npt.NDArray[np.bool_]:
        """Where the class changed: (H, W)."""
        return np.not_equal(self.before, self.after)

    @property
    def share_changed(self) -> float:
        """Share of the pixels whose class changed."""
        return self.moves.share_changed

    def largest(self, number: int | None = None) -> list[Move]:
        """Return which class became which, the most pixels first."""
        return self.moves.largest(number)

    def summary(self) -> str:
        """Return what happened in a line."""
        return (
            f"{100 * self.share_changed:.1f} % of the pixels change class; the probabilities move "
            f"by {self.moves.mean_variation:.3f} (total variation, 0 to 1)"
        )

    def table(self) -> Table:
        """Return which class became which as a table for a terminal."""
        return self.moves.table(f"{self.name}: {self.slot} replaced by {self.replaced_by}")

    def to_json(self) -> dict[str, Any]:
        """Return everything but the maps as JSON holds it."""
        return {
            "image": self.name,
            "network": self.network,
            "slot": self.slot,
            "replaced_by": self.replaced_by,
            "size": list(self.before.shape),
            **self.moves.to_json(),
        }

    def picture(self) -> bytes:
        """Return a PNG: the image, before, after and the change."""
        moves = [
            f"{m.before} → {m.after}: {m.pixels:,} px ({100 * m.share:.0f} %)"
            for m in self.largest(SHOWN_MOVES)
        ]
        title = f"{self.name}: {self.slot} replaced by {self.replaced_by}\n{self.summary()}"
        maps = (self.before, self.after, self.variation, self.replaced_by)
        return swap_picture(SwapPicture(self.image, self.other, *maps), self.classes, title, moves)

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``swap.npz`` (the maps), ``swap.json`` and ``swap.png``; return their paths."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, before=self.before, after=self.after, variation=self.variation)
        files = {
            "swap.npz": buffer.getvalue(),
            "swap.json": json.dumps(self.to_json(), indent=1, allow_nan=False).encode(),
            "swap.png": self.picture(),
        }
        for name, data in files.items():
            write_bytes(Path(folder) / name, data)
        return [Path(folder) / name for name in files]


def swap_context(
    network: Network | nn.Module,
    image: ImageLike,
    replacement: Replacement,
    *,
    name: str = "image",
) -> ContextSwap:
    """Replace an image's context and see what changes.

    The features stay; ``summarise`` is answered by the replacement, and ``fuse`` goes on with it
    (see `lookwider.context.contract`).

    Args:
        network: a `Segmenter` with a context, or a `Network` of one.
        image: a path, a PIL image or an array.
        replacement: what stands in for the image's context.
        name: of the image.

    Raises:
        ConfigError: the network has no context.
        LookwiderError: the image cannot be read, or the replacement does not fit.
    """
    return _swap(open_slot(as_network(network)), image, replacement, name)


def swap_layer(
    network: Network | nn.Module,
    image: ImageLike,
    layer: str,
    replacement: Replacement,
    *,
    name: str = "image",
) -> ContextSwap:
    """Replace what a layer of any module gives for an image, and see what changes.

    The labels are the classes of the highest score of the module's first output, at its size.

    Args:
        network: any module, or a `Network`, which knows how its images are normalised.
        image: a path, a PIL image or an array.
        layer: the layer whose output is replaced, such as that of a global average.
        replacement: what stands in for it.
        name: of the image.

    Raises:
        ConfigError: there is no such layer.
        LookwiderError: the image cannot be read, or the replacement does not fit.
    """
    return _swap(open_slot(as_network(network), layer), image, replacement, name)


def as_network(network: Network | nn.Module) -> Network:
    """Return a module as a network to probe."""
    return network if isinstance(network, Network) else Network(network)


def _swap(slot: Slot, image: ImageLike, replacement: Replacement, name: str) -> ContextSwap:
    array = image_array(image)
    network = slot.network
    with evaluating(network.module), torch.inference_mode(), memory_advice(name):
        view = slot.view(network.image(array))
        before, after = view.decide(), view.decide(replacement.values(slot, view))
        classes = classes_of(network, before)
        moves, variation = compare(before, after, classes)
    return ContextSwap(
        name=name,
        network=network.name,
        slot=slot.name,
        replaced_by=replacement.name,
        classes=classes,
        image=array,
        other=_shown(array, replacement),
        before=before.labels.cpu().numpy(),
        after=after.labels.cpu().numpy(),
        variation=variation.cpu().numpy(),
        moves=moves,
    )


def _shown(
    image: npt.NDArray[np.generic], replacement: Replacement
) -> npt.NDArray[np.generic] | None:
    """Return what can be seen of what stands in: another image, or a part of this one."""
    if isinstance(replacement, OtherImage):
        return image_array(replacement.image)
    if isinstance(replacement, OneRegion):
        row, col = divmod(replacement.index, replacement.bins)
        top, bottom = region_bounds(image.shape[0], replacement.bins)[row]
        left, right = region_bounds(image.shape[1], replacement.bins)[col]
        return image[top:bottom, left:right]
    return None
