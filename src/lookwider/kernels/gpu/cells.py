"""Taps as a GPU wants them: for each coarse place, the run of outputs that begin there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cells:
    """The cells of one axis, on a device.

    Cell i lies between places i and i + 1; beyond the last place its high weights are 0.

    Attributes:
        starts: (places + 1,) int32: cell i holds the outputs ``starts[i]`` to ``starts[i + 1]``.
        weights: (outputs, 2) float32: of the low and the high place.
    """

    starts: Tensor
    weights: Tensor


_on_devices: dict[tuple[bytes, int, torch.device], Cells] = {}


def device_cells(taps: Sequence[Tensor], places: int, device: torch.device) -> Cells:
    """Return the cells of taps, copied to a device once.

    A copy from ordinary memory waits for the device, and is forbidden while a CUDA graph is
    captured. So copies are kept by content, and for good: a captured graph goes on reading them.
    An image size costs some 20 KiB.

    Args:
        taps: `Taps.tensors`: low, high and their weights.
        places: input places.
        device: where to.
    """
    taps = [tensor.cpu() for tensor in taps]
    digest = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in taps)).digest()
    key = (digest, places, device)
    if key not in _on_devices:
        cells = cells_of(taps, places)
        _on_devices[key] = Cells(cells.starts.to(device), cells.weights.to(device))
    return _on_devices[key]


def cells_of(taps: Sequence[Tensor], places: int) -> Cells:
    """Return the cells of taps, where they are.

    Where both taps are the same place, their weights become one, and the other 0: then the high
    place is always the next one. All taps made here have a 0 there already, so nothing is rounded.

    Example:
        >>> from lookwider.layers.taps import Taps
        >>> cells_of(Taps.aligned(3, 5).tensors(), 3).starts.tolist()
        [0, 2, 4, 5]
    """
    low, high, low_weight, high_weight = taps
    starts = torch.searchsorted(low, torch.arange(places + 1, device=low.device))
    first, second = low_weight.float(), high_weight.float()
    same = high == low
    weights = torch.stack(
        (torch.where(same, first + second, first), torch.where(same, 0.0, second)), 1
    )
    return Cells(starts.int(), weights.contiguous())
