"""Fair timings within one process: the candidates take turns, and medians are compared."""

from __future__ import annotations

import datetime
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

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

    def ratio(self, other: Timing) -> tuple[float, float, float]:
        """Return (median, least, most) of how many times longer the other took, round by round."""
        ratios = [b / a for a, b in zip(self.seconds, other.seconds, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def interleaved(
    candidates: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 1
) -> dict[str, Timing]:
    """Time candidates in turns, A B A B ..., so that a drifting machine drifts for all."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(warmup + rounds):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if number >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


@dataclass(frozen=True)
class Row:
    """One comparison of a benchmark.

    Attributes:
        work: what is computed, e.g. "labels, 150 classes, 473 x 473".
        dtype: in which precision.
        plain: what it is compared with.
        ratio: how many times longer the plain form takes: median, least and most of the rounds.
        seconds: medians: of the plain form, of the fast one.
        wanted: the ratio to reach, where one was set beforehand.
        difference: largest difference of the results, relative to the largest value; None where
            labels are compared.
        agreement: share of equal labels, where labels are compared.
        memory_mib: most extra memory: of the plain form, of the fast one.
    """

    work: str
    dtype: str
    plain: str
    ratio: tuple[float, float, float]
    seconds: tuple[float, float]
    wanted: float | None = None
    difference: float | None = None
    agreement: float | None = None
    memory_mib: tuple[float, float] | None = None


def save_rows(rows: Sequence[Row], path: Path) -> None:
    """Write comparisons as JSON, with the machine and the versions they were made on."""
    facts = {
        "date": datetime.date.today().isoformat(),
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "torch": torch.__version__,
        "rows": [asdict(row) for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def processor() -> str:
    """Return the processor's name and what it computes bfloat16 with."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    bf16 = "AMX" if torch.cpu._is_amx_tile_supported() else "no AMX"
    return f"{names[0] if names else platform.processor()}, {bf16}"
