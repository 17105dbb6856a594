"""Ways of computing for a while: evaluation mode, and full or half precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and every part of it back afterwards.

    A frozen trunk, whose parts stay in evaluation mode while the rest trains, stays so.

    Example:
        >>> network = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
        >>> with evaluating(network):
        ...     network[0].training
        False
        >>> [part.training for part in network]
        [True, False]
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Switch autocast off on a device that has it; tensors without data know none."""
    if not torch.amp.is_autocast_available(device.type):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield


def computed_in(maps: Tensor) -> torch.dtype:
    """Return the dtype that a convolution or a product of a map is computed in.

    Autocast leaves float64 alone.

    Example:
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     computed_in(torch.zeros(1)), computed_in(torch.zeros(1, dtype=torch.float64))
        (torch.bfloat16, torch.float64)
    """
    kind = maps.device.type
    if maps.dtype == torch.float64 or not torch.amp.is_autocast_available(kind):
        return maps.dtype
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else maps.dtype


@contextmanager
def half_precision(device: torch.device, dtype: torch.dtype | None) -> Iterator[None]:
    """Let autocast choose what is computed in this dtype; nothing for None and for wide ones."""
    if dtype not in (torch.bfloat16, torch.float16):
        yield
        return
    with torch.autocast(device.type, dtype):
        yield
