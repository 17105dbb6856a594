"""Labels and loss from coarse scores against PyTorch's interpolation of full-size logits.

    python benchmarks/score_maps.py --out benchmarks/rows/score_maps.json

The plain forms are channels-last, which is the faster layout for them, and the allocator keeps what
is freed, which spares them most. "scenes" are coarse scores
whose labels change in 30 to 60 % of the cells; in white noise they change in all.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lookwider.bench.memory import keeping_freed_memory
from lookwider.layers.taps import Taps
from lookwider.scores import ScoreMap
from timing import Row, interleaved, save_rows

LABELS = {
    "150 classes, 473 x 473": (1, 150, (60, 60), (473, 473), 12.0),
    "19 classes, 1024 x 2048": (1, 19, (128, 256), (1024, 2048), 9.0),
}
LOSSES = {
    "150 classes, 473 x 473, batch 2": (2, 150, (60, 60), (473, 473), 4.0),
    "150 classes, 473 x 473, batch 8": (8, 150, (60, 60), (473, 473), 4.0),
}


def coarse_scores(batch: int, classes: int, size: tuple[int, int], smooth: bool) -> Tensor:
    """Return coarse scores: regions with noisy borders, or white noise."""
    torch.manual_seed(0)
    noise = torch.randn(batch, classes, *size)
    if smooth:
        coarser = torch.randn(batch, classes, *[max(2, side // 10) for side in size])
        noise = 0.3 * noise + 3 * functional.interpolate(coarser, size, mode="bicubic")
    return noise.contiguous(memory_format=torch.channels_last)


def upsampled(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Return full-size logits."""
    return functional.interpolate(scores, size, mode="bilinear", align_corners=True)


def score_map(scores: Tensor, size: tuple[int, int]) -> ScoreMap:
    """Return the scores with the taps of `upsampled`."""
    rows, cols = (Taps.aligned(n, s) for n, s in zip(scores.shape[2:], size, strict=True))
    return ScoreMap(scores, rows, cols)


def label_rows(rounds: int) -> Iterator[Row]:
    """Compare labels."""
    for work, (batch, classes, coarse, size, wanted) in LABELS.items():
        for kind, least in (("scenes", wanted), ("white noise", 1.0)):
            scores = coarse_scores(batch, classes, coarse, kind == "scenes")
            fast, plain = candidates_of_labels(scores, size)
            same = float((fast() == plain()).float().mean())
            times = interleaved({"fast": fast, "plain": plain}, rounds)
            yield (
                Row(
                    f"labels, {work}, {kind}",
                    "float32",
                    "interpolate + argmax, channels last",
                    times["fast"].ratio(times["plain"]),
                    (times["plain"].median, times["fast"].median),
                    wanted=least,
                    agreement=same,
                )
            )


def candidates_of_labels(
    scores: Tensor, size: tuple[int, int]
) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Return the fast and the plain form."""
    return score_map(scores, size).labels, lambda: upsampled(scores, size).argmax(1)


def loss_step(scores: Tensor, labels: Tensor, fast: bool) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient."""
    scores = scores.detach().requires_grad_()
    size = (labels.shape[1], labels.shape[2])
    if fast:
        loss = score_map(scores, size).cross_entropy(labels)
    else:
        loss = functional.cross_entropy(upsampled(scores, size), labels, ignore_index=255)
    loss.backward()
    assert scores.grad is not None
    return loss.detach(), scores.grad


def loss_rows(rounds: int) -> Iterator[Row]:
    """Compare loss and gradient."""
    for work, (batch, classes, coarse, size, wanted) in LOSSES.items():
        scores = coarse_scores(batch, classes, coarse, smooth=True)
        labels = torch.randint(0, classes, (batch, *size))
        fast_loss, fast_slope = loss_step(scores, labels, fast=True)
        loss, slope = loss_step(scores, labels, fast=False)
        difference = max(
            float((fast_loss - loss).abs() / loss),
            float((fast_slope - slope).abs().max() / slope.abs().max()),
        )
        times = interleaved(
            {
                "fast": lambda s=scores, y=labels: loss_step(s, y, fast=True),
                "plain": lambda s=scores, y=labels: loss_step(s, y, fast=False),
            },
            rounds,
            warmup=0,
        )
        memory = peak_mib(work, fast=False), peak_mib(work, fast=True)
        yield (
            Row(
                f"loss and gradient, {work}",
                "float32",
                "interpolate + cross_entropy, channels last",
                times["fast"].ratio(times["plain"]),
                (times["plain"].median, times["fast"].median),
                wanted=wanted,
                difference=difference,
                memory_mib=memory,
            )
        )


def peak_mib(work: str, fast: bool) -> float:
    """Return by how much a step raises the peak memory of a process of its own."""
    command = [sys.executable, __file__, "--step", work, *(["--fast"] if fast else [])]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def run_step(work: str, fast: bool) -> None:
    """Print the growth of the peak resident memory in a step, after a tiny one."""
    batch, classes, coarse, size, _ = LOSSES[work]
    tiny = coarse_scores(1, classes, (3, 3), smooth=False)
    loss_step(tiny, torch.zeros(1, 9, 9, dtype=torch.long), fast)
    scores = coarse_scores(batch, classes, coarse, smooth=False)
    labels = torch.randint(0, classes, (batch, *size))
    before = peak_kib()
    loss_step(scores, labels, fast)
    print((peak_kib() - before) / 1024)


def peak_kib() -> int:
    """Return this process's peak memory; Linux's ru_maxrss would be at least the parent's."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1])


def described(row: Row) -> str:
    """Return a comparison as a line of text."""
    ratio, least, most = row.ratio
    plain, fast = (seconds * 1e3 for seconds in row.seconds)
    parts = [f"{row.work}: {plain:.1f} -> {fast:.1f} ms, {ratio:.1f}x ({least:.1f} to {most:.1f})"]
    if row.agreement is not None:
        parts.append(f"{row.agreement:.4%} equal labels")
    if row.difference is not None:
        parts.append(f"difference {row.difference:.0e}")
    if row.memory_mib is not None:
        parts.append(f"extra memory {row.memory_mib[0]:.0f} -> {row.memory_mib[1]:.0f} MiB")
    return ", ".join(parts)


def main() -> None:
    """Compare all and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--step", choices=LOSSES, help="measure the memory of one step")
    parser.add_argument("--fast", action="store_true", help="with --step: of the fast form")
    given = parser.parse_args()
    if given.step:
        run_step(given.step, given.fast)
        return
    rows = []
    with keeping_freed_memory():
        for row in itertools.chain(label_rows(given.rounds), loss_rows(given.rounds)):
            print(described(row), flush=True)
            rows.append(row)
    if given.out:
        save_rows(rows, given.out)


if __name__ == "__main__":
    main()
