"""What a machine can do: the rates of a matrix product and of a copy, and what work needs."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from lookwider.bench.timing import wait_for_gpu

SIDES = (512, 1024, 2048, 4096)
"""Matrix products to try; the best rate counts."""

COPY_BYTES = 64 * 2**20
"""More than caches hold."""

REPEATS, ENOUGH_SECONDS = 5, 0.25


@dataclass(frozen=True)
class Rates:
    """The speed limits of a machine.

    Attributes:
        flops: floating point operations per second of the best matrix product.
        copied: bytes read and written per second by a copy from memory to memory.
    """

    flops: float
    copied: float

    def floor(self, flop: float, touched: float) -> float:
        """Return the least seconds of so many operations and bytes: the slower of the two.

        Example:
            >>> Rates(flops=100.0, copied=10.0).floor(50, 20)
            2.0
        """
        return max(flop / self.flops, touched / self.copied)


def measure_rates(dtype: torch.dtype, device: torch.device) -> Rates:
    """Return the rates of the matrix products and copies of this machine, in this type."""
    best = 0.0
    for side in SIDES:
        left, right = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
        seconds = _fastest(partial(torch.matmul, left, right))
        best = max(best, 2 * side**3 / seconds)
        if seconds * REPEATS > ENOUGH_SECONDS:  # the next one takes 8 times as long
            break
    source = torch.ones(COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Rates(best, 2 * COPY_BYTES / _fastest(lambda: target.copy_(source)))


def _fastest(run: Callable[[], object]) -> float:
    """Return the seconds of the fastest of some runs, after one that is not counted."""
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        run()
        wait_for_gpu()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def count_flop(run: Callable[[], object]) -> int:
    """Return the operations of the products and convolutions of PyTorch that ``run`` does."""
    with torch.no_grad(), _FlopCounter() as counter:
        run()
    return int(counter.total)


class _FlopCounter(TorchDispatchMode):
    """Counts by PyTorch's formulae, as its own counter does, but without looking into modules.

    PyTorch's own follows modules, and what is handed to them is then no longer deferred.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **(kwargs or {}), out_val=result))
        return result


def processor() -> str:
    """Return the processor's name and what it computes bfloat16 with."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    bf16 = "AMX" if torch.cpu._is_amx_tile_supported() else "no AMX"
    return f"{names[0] if names else platform.processor()}, {bf16}"
