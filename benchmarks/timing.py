"""Comparisons of benchmarks, kept as rows; timings are those of `lookwider bench`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lookwider.bench.machine import processor
from lookwider.bench.timing import Timing, interleaved

__all__ = ["Row", "Timing", "interleaved", "processor", "save_rows"]


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
