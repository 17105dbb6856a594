"""What was measured, as numbers, as JSON and as a table for a terminal."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.box import SIMPLE
from rich.table import Table

from lookwider.bench.machine import Rates, processor
from lookwider.bench.timing import Timing


@dataclass(frozen=True)
class Comparison:
    """One piece of work in both forms.

    Attributes:
        work: its name.
        fast: with lookwider's paths.
        plain: as plain PyTorch.
        floor: least seconds by the machine's rates, where they are known.
        flop: operations that the floor counts.
        memory_mib: most extra memory of (fast, plain), where it is known.
    """

    work: str
    fast: Timing
    plain: Timing
    floor: float | None = None
    flop: int = 0
    memory_mib: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        middle, least, most = self.fast.ratio(self.plain)
        return {
            "work": self.work,
            "lookwider": _seconds(self.fast),
            "plain": _seconds(self.plain),
            "ratio": {"median": middle, "least": least, "most": most},
            "floor": self.floor,
            "flop": self.flop,
            "memory_mib": self.memory_mib
            and dict(zip(("lookwider", "plain"), self.memory_mib, strict=True)),
        }


@dataclass(frozen=True)
class BenchResult:
    """All measurements of one network on one machine.

    Attributes:
        network: the model and its trunk, in words.
        size: (height, width) of the images.
        num_classes: of the labels.
        batch: images at once.
        training_batch: images of a training step; None where none was measured.
        dtype: of the products.
        threads: of PyTorch.
        rates: of the machine.
        comparisons: from image to labels first, then the stages; training last, where measured.
        difference: largest difference of both forms' coarse scores, relative to the largest score.
        agreement: share of pixels with the same label in both forms.
    """

    network: str
    size: tuple[int, int]
    num_classes: int
    batch: int
    training_batch: int | None
    dtype: str
    threads: int
    rates: Rates
    comparisons: tuple[Comparison, ...]
    difference: float
    agreement: float

    @property
    def title(self) -> str:
        """The network and what it was given, in one line."""
        height, width = self.size
        images = "one image" if self.batch == 1 else f"{self.batch} images"
        return (
            f"{self.network}, {self.num_classes} classes, {images} of {height} x {width}, "
            f"{self.dtype}, {self.threads} thread{'s' if self.threads > 1 else ''}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "format": 1,
            "network": self.network,
            "size": list(self.size),
            "num_classes": self.num_classes,
            "batch": self.batch,
            "training_batch": self.training_batch,
            "dtype": self.dtype,
            "machine": {
                "processor": processor(),
                "system": platform.system(),
                "threads": self.threads,
                "torch": torch.__version__,
                **asdict(self.rates),
            },
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
            "difference": self.difference,
            "agreement": self.agreement,
        }

    def table(self) -> Table:
        """Return the table for a terminal, in milliseconds."""
        table = Table(title=self.title, title_justify="left", box=SIMPLE)
        table.add_column("ms", no_wrap=True)
        for name in ("lookwider", "plain PyTorch", "times as fast", "floor"):
            table.add_column(name, justify="right", no_wrap=True)
        for comparison in self.comparisons:
            table.add_row(*_cells(comparison))
        return table

    def summary(self) -> list[str]:
        """Return what to know of the table, a line each."""
        lines = [
            f"extra memory of {comparison.work}: {comparison.memory_mib[0]:.0f} MiB, plain PyTorch "
            f"{comparison.memory_mib[1]:.0f} MiB"
            for comparison in self.comparisons
            if comparison.memory_mib is not None
        ]
        if self.training_batch is not None:
            lines.append(f"loss and training step, with gradients: of {self.training_batch} images")
        return [
            *lines,
            f"equal: scores differ by at most {self.difference:.1e} of the largest, and "
            f"{100 * self.agreement:.6g} % of the labels are the same",
            f"this machine: {self.rates.flops / 1e9:.0f} GFLOP/s in a matrix product, "
            f"{self.rates.copied / 1e9:.1f} GB/s in a copy; the floor is the same work at these "
            "rates",
        ]


def _cells(comparison: Comparison) -> list[str]:
    middle, least, most = comparison.fast.ratio(comparison.plain)
    return [
        comparison.work,
        milliseconds(comparison.fast),
        milliseconds(comparison.plain),
        f"{middle:.2f} ({least:.2f} to {most:.2f})",
        "" if comparison.floor is None else _shown(1000 * comparison.floor),
    ]


def milliseconds(timing: Timing) -> str:
    """Return the median and the median distance from it, in milliseconds.

    Example:
        >>> milliseconds(Timing((0.010, 0.011, 0.013)))
        '11.0 ± 1.00'
    """
    return f"{_shown(1000 * timing.median)} ± {_shown(1000 * timing.deviation)}"


def _shown(number: float) -> str:
    """Return a number with about three digits."""
    if number >= 99.95:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"


def _seconds(timing: Timing) -> dict[str, Any]:
    return {"median": timing.median, "seconds": list(timing.seconds)}
