"""Heads and region averages: PSPNet's without concatenation, ParseNet's normalised afterwards.

The plain forms are the papers': region averages by adaptive pooling, upsampled grids concatenated
to the map; and features normalised, the average replicated, both concatenated. Maps and weights
are channels-last in both.

How far the results are apart is said relative to their length. With ``--training`` that is the
farthest of the values and all gradients, in float64: in float32 a single value that rounds to the
other side of a ReLU's zero changes a gradient by far more than rounding does.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lookwider.bench.memory import keeping_freed_memory
from lookwider.context import GlobalContext, PyramidContext
from lookwider.context.regions import summarise_regions
from lookwider.layers.deferred import deferring
from lookwider.layers.norms import ConvNormReLU
from timing import Row, interleaved, save_rows

Result = tuple[Tensor, ...]


def features(count: int, channels: int, side: int, dtype: torch.dtype) -> Tensor:
    """Return rectified features, channels-last."""
    torch.manual_seed(0)
    maps = torch.randn(count, channels, side, side).relu_().to(dtype)
    return maps.contiguous(memory_format=torch.channels_last)


class PyramidHead(nn.Module):
    """PSPNet from the trunk's last map to the hidden values."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.context = PyramidContext((channels,))
        self.hidden = ConvNormReLU(self.context.channels[-1], channels // 4, 3, "batch")

    def forward(self, maps: Tensor) -> Tensor:
        """Return the hidden values, (N, C / 4, h, w)."""
        with deferring():
            (fused,) = self.context.fuse((maps,), self.context.summarise((maps,)))
        hidden: Tensor = self.hidden(fused)
        return hidden

    def plain(self, maps: Tensor) -> Tensor:
        """Return the same as the release computes it."""
        parts = [maps]
        for bins, branch in zip(self.context.bins, self.context.branches, strict=True):
            grid = branch(functional.adaptive_avg_pool2d(maps, bins))
            size = maps.shape[-2:]
            parts.append(functional.interpolate(grid, size, mode="bilinear", align_corners=True))
        hidden: Tensor = self.hidden(torch.cat(parts, dim=1))
        return hidden


class GlobalHead(nn.Module):
    """ParseNet from the trunk's last map to coarse scores, fused early."""

    def __init__(self, channels: int, classes: int = 21) -> None:
        super().__init__()
        self.context = GlobalContext((channels,), (0,), (0,), dropout=0.0)
        self.score = nn.Conv2d(2 * channels, classes, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the scores, (N, K, h, w)."""
        with deferring():
            local, average = self.context.fuse((maps,), self.context.summarise((maps,)))
        own, other = self.score.weight.chunk(2, dim=1)
        scores = functional.conv2d(local, own, self.score.bias)
        return scores + functional.conv2d(average, other)

    def plain(self, maps: Tensor) -> Tensor:
        """Return the same as the paper draws it."""
        local = normalised(maps, self.context.local_norms[0])
        average = normalised(functional.adaptive_avg_pool2d(maps, 1), self.context.global_norms[0])
        scores: Tensor = self.score(torch.cat([local, average.expand_as(local)], dim=1))
        return scores


def normalised(maps: Tensor, norm: nn.Module) -> Tensor:
    """Return the maps as `plain.parsenet.L2Normalise` does, with a norm's scale."""
    return functional.normalize(maps, dim=1) * norm.get_parameter("scale")[:, None, None]


def trained(head: nn.Module, form: Callable[[Tensor], Tensor], maps: Tensor) -> Result:
    """Return the values, then the gradients of the map and of all parameters."""
    values = form(maps)
    loss = (values - 0.3).square().mean()
    return values, *torch.autograd.grad(loss, [maps, *head.parameters()])


def farthest(fast: Result, plain: Result) -> float:
    """Return the largest distance of two results, relative to the second's length."""
    return max(
        float((a.detach().double() - b.detach().double()).norm() / b.detach().double().norm())
        for a, b in zip(fast, plain, strict=True)
    )


def compared(
    work: str,
    plain_words: str,
    fast: Callable[[], Result],
    plain: Callable[[], Result],
    options: argparse.Namespace,
    wanted: float | None = None,
    apart: float | None = None,
) -> Row:
    """Time two forms in turns and say how far their results are apart."""
    apart = farthest(fast(), plain()) if apart is None else apart
    times = interleaved({"plain": plain, "fast": fast}, options.rounds)
    row = Row(
        work=work,
        dtype=options.dtype,
        plain=plain_words,
        ratio=times["fast"].ratio(times["plain"]),
        seconds=(times["plain"].median, times["fast"].median),
        wanted=wanted,
        difference=apart,
    )
    print(
        f"{row.work}: {row.seconds[0] * 1e3:.1f} -> {row.seconds[1] * 1e3:.1f} ms, "
        f"{row.ratio[0]:.1f}x ({row.ratio[1]:.1f} to {row.ratio[2]:.1f}), apart {apart:.0e}"
    )
    return row


def head_rows(
    name: str, head: PyramidHead | GlobalHead, maps: Tensor, plain: str, options: argparse.Namespace
) -> list[Row]:
    """Compare a head in evaluation, and a step of its training."""
    count, channels, side, _ = maps.shape
    head = head.to(maps.dtype).to(memory_format=torch.channels_last)
    work = f"{name}, {channels} channels, {count} x {side} x {side}"
    wanted = 8.0 if isinstance(head, GlobalHead) else None

    def evaluated(form: Callable[[Tensor], Tensor]) -> Callable[[], Result]:
        return lambda: (torch.no_grad()(form)(maps),)

    head.eval()
    forms = evaluated(head), evaluated(head.plain)
    rows = [compared(work, plain, *forms, options, wanted)]
    if options.training:
        head.train(count > 1)
        kept = maps.detach().requires_grad_()
        wide, exact = copy.deepcopy(head).double(), maps.double().requires_grad_()
        apart = farthest(trained(wide, wide, exact), trained(wide, wide.plain, exact))
        rows.append(
            compared(
                f"{work}, forward and backward",
                plain,
                lambda: trained(head, head, kept),
                lambda: trained(head, head.plain, kept),
                options,
                apart=apart,
            )
        )
    return rows


def region_row(maps: Tensor, options: argparse.Namespace) -> Row:
    """Compare the averages of all regions of a pyramid."""
    bins = (1, 2, 3, 6)
    count, channels, side, _ = maps.shape
    return compared(
        f"region averages, {channels} channels, {count} x {side} x {side}",
        "adaptive_avg_pool2d",
        lambda: summarise_regions(maps, bins, "average").pooled(),
        lambda: tuple(functional.adaptive_avg_pool2d(maps, n) for n in bins),
        options,
    )


def main() -> None:
    """Compare, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--training", action="store_true", help="forward and backward as well")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.dtype)
    with keeping_freed_memory():
        maps = features(options.batch, 2048, 60, dtype)
        rows = [region_row(maps, options)]
        rows += head_rows("pyramid head", PyramidHead(2048), maps, "concatenate", options)
        for channels in (1024, 4096):
            maps = features(options.batch, channels, 64, dtype)
            head = GlobalHead(channels)
            rows += head_rows("ParseNet head", head, maps, "normalise and concatenate", options)
    if options.out:
        save_rows(rows, options.out)


if __name__ == "__main__":
    main()
