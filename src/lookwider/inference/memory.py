"""How much memory this process holds, and held at most; and what to do when there is too little."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from lookwider.errors import LookwiderError

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Linux's record of a process, and where 5 is written to begin its peak of memory anew."""


def peak_while(run: Callable[[], object], device: torch.device) -> int | None:
    """Return the most bytes that the process holds while ``run`` goes on, all in all.

    On a CPU it is the peak of the resident memory; on a GPU what PyTorch allocates there.

    Returns:
        None where the system does not tell (only Linux does).
    """
    forget_peak(device)
    run()
    return peak_memory(device)


def forget_peak(device: torch.device) -> None:
    """Begin the peak of memory anew, after freed memory was given back."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return
    give_back_freed_memory()
    try:
        FORGET.write_text("5")
    except OSError:
        return  # the peak stays that of the whole process, which is the larger one


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes held since `forget_peak`; None where the system does not tell."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device))
    try:
        return status_bytes("VmHWM")
    except OSError:
        return None


def status_bytes(name: str) -> int:
    """Return an entry of Linux's record of the process, such as VmRSS and VmHWM.

    Raises:
        OSError: there is none.
    """
    for line in STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {name}")


def give_back_freed_memory() -> bool:
    """Return freed memory to the system; False where the allocator is not glibc's."""
    return glibc("malloc_trim", 0)


def glibc(function: str, *values: int) -> bool:
    """Call a function of glibc's; False where there is none."""
    try:
        getattr(ctypes.CDLL("libc.so.6"), function)(*values)
    except (OSError, AttributeError):
        return False
    return True


@contextmanager
def memory_advice(what: str) -> Iterator[None]:
    """Turn running out of memory into an error that says what to do.

    Raises:
        LookwiderError: the block ran out of the device's or the machine's memory.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise LookwiderError(_too_large(what)) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        raise LookwiderError(_too_large(what)) from error


def _too_large(what: str) -> str:
    return (
        f"{what}: too large for the memory; use --device cpu if it ran on a GPU, make the image "
        "smaller, or cut it into tiles: lookwider predict --max-memory 4GB"
    )
