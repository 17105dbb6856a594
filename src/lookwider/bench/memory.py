"""The most memory that a piece of work holds beside what was there before."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from lookwider.bench.timing import uses_gpu
from lookwider.inference import memory

MMAP_MAX, USUAL_MMAP_MAX = -4, 65_536
TRIM_THRESHOLD, USUAL_TRIM_THRESHOLD, NEVER = -1, 131_072, 2**31 - 1
"""Settings of glibc's allocator and their usual values (mallopt(3))."""


def extra_memory(run: Callable[[], object]) -> float | None:
    """Return the most MiB that ``run`` needs beside what the process holds before it.

    On a CPU it is the peak of the resident memory, in which everything is counted: PyTorch's
    tensors, its operators' own buffers, compiled kernels' arrays. Memory that was freed before is
    given back first, so that it does not hide what is used. On a GPU it is what PyTorch allocates.

    Returns:
        None where the system does not tell (only Linux does).
    """
    gc.collect()
    if uses_gpu():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    try:
        memory.give_back_freed_memory()
        memory.FORGET.write_text("5")
        before = memory.status_bytes("VmRSS")
        run()
        return max(0.0, (memory.status_bytes("VmHWM") - before) / 2**20)
    except OSError:
        return None


@contextmanager
def keeping_freed_memory() -> Iterator[bool]:
    """Let the allocator keep what is freed for a while: no page is mapped and cleared twice.

    Large tensors are otherwise mapped anew at every call, which costs plain networks most: a
    comparison with a plain form is fairest with this in force for both.

    Yields:
        False where the allocator is not glibc's and nothing is changed.
    """
    kept = memory.glibc("mallopt", MMAP_MAX, 0) and memory.glibc("mallopt", TRIM_THRESHOLD, NEVER)
    try:
        yield kept
    finally:
        if kept:
            memory.glibc("mallopt", MMAP_MAX, USUAL_MMAP_MAX)
            memory.glibc("mallopt", TRIM_THRESHOLD, USUAL_TRIM_THRESHOLD)
