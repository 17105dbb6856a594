"""Patch-wise sampling of the loss (FCN, sections 3.4 and 4.3), to compare with whole images.

Training on a random subset of patches is whole-image training with some cells of the final layer
left out of the loss. A cell is a square of the image as large as the coarsest stride.

Where processes train together, the batch is that of all of them: what is left out of it does not
depend on how it is spread.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from lookwider.classes import IGNORE_INDEX
from lookwider.errors import ConfigError
from lookwider.kernels.upsampled import hardest
from lookwider.training.collectives import process_count, process_rank, sum_of_all, values_of_all

LossSampling = Literal["whole", "uniform", "balanced", "hard"]


def sample_loss(
    labels: Tensor,
    sampling: LossSampling,
    *,
    keep: float,
    cell: int,
    num_classes: int,
    seed: int,
) -> Tensor:
    """Return the labels with ignore in the cells that are left out.

    ``"uniform"`` leaves out each cell with probability ``1 - keep``, independently. The paper
    raises the batch size by ``1 / keep`` at the same time, so that as many cells count.
    ``"balanced"`` prefers cells of rare classes: a cell's probability follows its pixels' mean
    inverse class frequency within the batch, scaled so that ``keep`` of the cells that hold a
    valid pixel are expected to stay, as far as no probability exceeds 1.

    Args:
        labels: class ids and 255.
        sampling: ``"whole"`` returns the labels themselves, and so does ``"hard"``: which pixels
            are hard is known by their loss (`ScoreMap.cross_entropy` with ``hardest``).
        keep: share of cells, above 0 to 1.
        cell: side of a cell in pixels.
        num_classes: K.
        seed: of this draw.

    Shape:
        (N, H, W) int64 -> (N, H, W) int64, a new tensor.

    Raises:
        ConfigError: ``keep`` or ``cell`` is out of range.
    """
    if sampling in ("whole", "hard"):
        return labels
    if not 0 < keep <= 1 or cell < 1:
        raise ConfigError(f"got keep={keep}, cell={cell}, expected 0 < keep <= 1 and cell >= 1")
    count, height, width = labels.shape
    rows, cols = -(-height // cell), -(-width // cell)
    if sampling == "uniform":
        probability = torch.full((count, rows, cols), keep, device=labels.device)
    else:
        probability = balanced_probability(labels, keep, cell, num_classes)
    # drawn on the CPU: the same cells on every device, and for an image wherever it is trained on
    generator = torch.Generator().manual_seed(seed)
    everyones = torch.rand(process_count() * count, rows, cols, generator=generator)
    chance = everyones[process_rank() * count :][:count].to(labels.device)
    kept = chance < probability
    pixels = kept.repeat_interleave(cell, 1).repeat_interleave(cell, 2)[:, :height, :width]
    return torch.where(pixels, labels, IGNORE_INDEX)


def balanced_probability(labels: Tensor, keep: float, cell: int, num_classes: int) -> Tensor:
    """Return how likely each cell stays when classes are balanced; see `sample_loss`.

    Shape:
        (N, H, W) int64 -> (N, ceil(H / cell), ceil(W / cell)) float32.
    """
    valid = labels != IGNORE_INDEX
    counts = sum_of_all(torch.bincount(labels[valid], minlength=num_classes)).to(torch.float32)
    inverse = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)
    rarity = torch.where(valid, inverse[torch.where(valid, labels, 0)], 0.0)
    _, height, width = labels.shape
    # grown to whole cells by hand, then both sums cover the same pixels
    pad = (0, -width % cell, 0, -height % cell)
    area = functional.avg_pool2d(functional.pad(valid.to(torch.float32), pad)[:, None], cell)
    weight = functional.avg_pool2d(functional.pad(rarity, pad)[:, None], cell) / area.clamp(1e-12)
    everyones, own = values_of_all(weight.flatten())
    return _scaled_to_mean(everyones, keep)[own].reshape(weight[:, 0].shape)


def hardest_of_all(losses: Tensor, labels: Tensor, share: float, ignore_index: int) -> Tensor:
    """Return `lookwider.kernels.upsampled.hardest_labels` of the batch over all processes.

    Shape:
        losses, labels: (N, H, W) -> (N, H, W) int64, this process's part.
    """
    valid = labels != ignore_index
    everyones, own = values_of_all(losses[valid])
    result = labels.clone()
    result[valid] = torch.where(hardest(everyones, share)[own], labels[valid], ignore_index)
    return result


def _scaled_to_mean(weight: Tensor, keep: float) -> Tensor:
    """Scale positive weights so that their mean, each cut at 1, is ``keep``."""
    positive = int((weight > 0).sum())
    probability = torch.zeros_like(weight)
    if positive == 0:
        return probability
    target = keep * positive
    full = torch.zeros_like(weight, dtype=torch.bool)
    # each round fixes the cells that reach 1 and spreads the rest over the others
    while True:
        free = (weight > 0) & ~full
        if not free.any():
            return full.to(weight.dtype)
        scale = (target - float(full.sum())) / float(weight[free].sum())
        probability = torch.where(full, 1.0, weight * scale)
        over = free & (probability > 1)
        if not over.any():
            return probability
        full |= over
