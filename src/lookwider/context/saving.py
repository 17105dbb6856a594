"""Summaries as named tensors, to be kept in files and sent to other processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import torch
from torch import Tensor

from lookwider.context.contract import EmptySummary
from lookwider.context.regions import Pooling, RegionSummary
from lookwider.errors import LookwiderError

_PARTS = ("values", "seen", "counts")


def summary_tensors(summary: EmptySummary | RegionSummary) -> dict[str, Tensor]:
    """Return all of a summary as tensors that share no memory; none of the empty one.

    Example:
        >>> summary_tensors(EmptySummary())
        {}
    """
    if isinstance(summary, EmptySummary):
        return {}
    found = {
        "pooling": torch.tensor(get_args(Pooling).index(summary.pooling)),
        "sizes": torch.tensor(summary.sizes, dtype=torch.int64).reshape(-1, 2),
    }
    for part in _PARTS:
        for number, tensor in enumerate(getattr(summary, part)):
            found[f"{part}.{number}"] = tensor.detach().clone().contiguous()
    return found


def summary_from_tensors(tensors: Mapping[str, Tensor]) -> EmptySummary | RegionSummary:
    """Return the summary of these tensors, the same to the bit.

    Raises:
        LookwiderError: they are not what `summary_tensors` gives.
    """
    if not tensors:
        return EmptySummary()
    try:
        sizes = tuple((int(height), int(width)) for height, width in tensors["sizes"].tolist())
        values, seen, counts = (
            tuple(tensors[f"{part}.{number}"] for number in range(len(sizes))) for part in _PARTS
        )
        pooling: Pooling = get_args(Pooling)[int(tensors["pooling"])]
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise LookwiderError(
            f"got the tensors {', '.join(sorted(tensors))}, expected those of a summary: pooling, "
            "sizes, and values, seen and counts of each grid; summarise the image again"
        ) from error
    return RegionSummary(pooling, values, seen, counts, sizes)
