"""What the machine computes fast in, and how much memory a run took."""

from __future__ import annotations

import resource
import sys
from typing import Literal

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from lookwider.training.config import TrainConfig

Precision = Literal["32-true", "bf16-mixed"]


def uses_gpu(config: TrainConfig) -> bool:
    """Whether the run is on a GPU: asked for, or there with ``accelerator=auto``."""
    return config.accelerator == "gpu" or (
        config.accelerator == "auto" and torch.cuda.is_available()
    )


def is_main_process() -> bool:
    """Whether this process speaks for the run: the first of those that train together."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def choose_precision(config: TrainConfig) -> Precision:
    """Return the precision of a run.

    ``auto`` is bfloat16 autocast where it is much faster: on a GPU that has it, and on a
    processor with AMX tiles, where matrix products are 6 to 8 times as fast as in float32.
    Elsewhere it is float32: without AMX, bfloat16 is emulated or gains little.
    """
    if config.precision != "auto":
        return config.precision
    if uses_gpu(config):
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if fast else "32-true"


FEW_CHANNELS = 16
"""Input channels below which a strided 1 x 1 convolution is not safe in channels-last memory."""


def memory_layout(model: nn.Module, config: TrainConfig) -> torch.memory_format:
    """Return how a run lays out images and weights: channels last where asked for and safe.

    PyTorch's kernels for processors (2.15) end the process with a segmentation fault in the weight
    gradient of a strided 1 x 1 convolution of few channels in channels-last memory, as RepVGG's
    first one is: such networks train in the usual layout there.
    """
    safe = uses_gpu(config) or not any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels < FEW_CHANNELS
        for module in model.modules()
    )
    return torch.channels_last if config.channels_last and safe else torch.contiguous_format


def peak_memory() -> dict[str, float]:
    """Return the most memory this process has held so far, in GiB, by kind."""
    # Linux counts in KiB, macOS in bytes
    unit = 2**30 if sys.platform == "darwin" else 2**20
    peak = {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}
    allocated = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    if allocated:
        peak["GPU memory"] = allocated / 2**30
    return peak
