"""Fair timings within one process: the candidates take turns, and medians are compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of the counted rounds of one candidate.

    Attributes:
        seconds: one number per round, in the order of the rounds.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.seconds)

    @property
    def deviation(self) -> float:
        """The median distance of a round from the median: one slow round does not change it."""
        return statistics.median(abs(value - self.median) for value in self.seconds)

    def ratio(self, other: Timing) -> tuple[float, float, float]:
        """Return (median, least, most) of how many times longer the other took, round by round.

        Example:
            >>> Timing((1.0, 2.0, 1.0)).ratio(Timing((3.0, 4.0, 4.0)))
            (3.0, 2.0, 4.0)
        """
        ratios = [b / a for a, b in zip(self.seconds, other.seconds, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int = 1,
    *,
    on_round: Callable[[int, float], None] = lambda done, seconds: None,
) -> dict[str, Timing]:
    """Time candidates in turns, A B A B ..., so that a drifting machine drifts for all.

    Args:
        candidates: what to time, by name.
        rounds: that are counted.
        warmup: rounds before them that are not.
        on_round: told after every round how many counted ones are done, and how long this took.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(warmup + rounds):
        begun = time.perf_counter()
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            wait_for_gpu()
            if number >= warmup:
                seconds[name].append(time.perf_counter() - start)
        on_round(max(0, number + 1 - warmup), time.perf_counter() - begun)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def uses_gpu() -> bool:
    """Whether this process has begun to work with a CUDA device."""
    is_initialized = cast(Callable[[], bool], torch.cuda.is_initialized)
    return is_initialized()


def wait_for_gpu() -> None:
    """Let a timing end when the work does: a GPU is only told what to do."""
    if uses_gpu():
        torch.cuda.synchronize()
