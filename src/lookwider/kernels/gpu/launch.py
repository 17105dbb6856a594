"""How kernels are launched: which block and how many warps, chosen by timing on the device.

Unlike ``triton.autotune`` it may be called from several threads, takes no memory to time, chooses
nothing by time where results must repeat bit for bit, and nothing while a CUDA graph is captured.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock

import torch
import triton

from lookwider.kernels.gpu.kernels import label_kernel

PIXELS = 64
"""Pixels of a cell that are treated together at most."""

MOST_PROGRAMS = 1024
"""Programs that share a cell at most."""

TIMED = 20
"""How often a launch is repeated to time it."""


@dataclass(frozen=True)
class Launch:
    """How one kernel is launched.

    Attributes:
        classes: scores of a pixel that are treated together; a power of two.
        warps: groups of 32 threads that share a cell.
    """

    classes: int
    warps: int


_chosen: dict[Hashable, Launch] = {}
_timing = Lock()


def interpreted() -> bool:
    """Whether Triton runs kernels in its interpreter, on any device."""
    return not isinstance(label_kernel, triton.JITFunction)


def pixel_blocks(scores: torch.Size, height: int, width: int) -> tuple[int, int]:
    """Return how many pixels are treated together, and how many times that makes most cells.

    Example:
        >>> pixel_blocks(torch.Size((1, 21, 60, 60)), 473, 473)
        (64, 1)
        >>> pixel_blocks(torch.Size((1, 21, 16, 16)), 500, 500)
        (64, 16)
    """
    pixels = _power_of_two(round(height * width / (scores[2] * scores[3])))
    return min(PIXELS, pixels), min(MOST_PROGRAMS, -(-pixels // PIXELS))


def fixed_launch(num_classes: int, pixels: int) -> Launch:
    """Return the launch that needs no timing: 8 scores for each thread keep it in 64 registers.

    Example:
        >>> fixed_launch(150, 64)
        Launch(classes=16, warps=4)
    """
    classes = min(16, _power_of_two(num_classes))
    return Launch(classes, max(1, classes * pixels // 256))


def candidates(num_classes: int, pixels: int) -> list[Launch]:
    """Return the launches that are worth timing, the fixed one first."""
    found = [fixed_launch(num_classes, pixels)]
    for classes in (8, 16, 32, 64):
        for warps in (1, 2, 4, 8):
            launch = Launch(classes, warps)
            fits = classes <= _power_of_two(num_classes)
            # more than 16 scores for each thread spill from its registers
            if fits and 2 <= classes * pixels / (32 * warps) <= 16 and launch not in found:
                found.append(launch)
    return found


def launched(
    kernel: str,
    scores: torch.Tensor,
    pixels: int,
    run: Callable[[Launch], object],
    *,
    exact: bool = False,
) -> None:
    """Run a kernel on the scores' device, in the fastest way, which is timed when first met.

    Args:
        kernel: its name.
        scores: what it reads; their type, classes and device tell cases apart.
        pixels: pixels that are treated together.
        run: launches it one way, any number of times.
        exact: the result does not depend on the launch. If it does (sums in another order), the
            launch is fixed under ``torch.use_deterministic_algorithms``.
    """
    with torch.cuda.device(scores.device) if scores.is_cuda else nullcontext():
        run(_launch(kernel, scores, pixels, run, exact))


def _launch(
    kernel: str, scores: torch.Tensor, pixels: int, run: Callable[[Launch], object], exact: bool
) -> Launch:
    num_classes = int(scores.shape[1])
    if interpreted() or (torch.are_deterministic_algorithms_enabled() and not exact):
        return fixed_launch(num_classes, pixels)
    key = (kernel, num_classes, pixels, scores.dtype, scores.device)
    if key not in _chosen and torch.cuda.is_current_stream_capturing():
        return fixed_launch(num_classes, pixels)
    with _timing:  # timings of two threads would disturb each other
        if key not in _chosen:
            times = {launch: _seconds(run, launch) for launch in candidates(num_classes, pixels)}
            _chosen[key] = min(times, key=lambda launch: times[launch])
    return _chosen[key]


def _seconds(run: Callable[[Launch], object], launch: Launch) -> float:
    run(launch)  # compiles
    start, end = torch.Event("cuda", enable_timing=True), torch.Event("cuda", enable_timing=True)
    start.record()
    for _ in range(TIMED):
        run(launch)
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / TIMED / 1000


def _power_of_two(number: int) -> int:
    """Return the least power of two that is not below a number."""
    return 1 << (max(1, number) - 1).bit_length()
