"""Compiled loops on all of PyTorch's threads: rows are split over a small pool.

numba's own threading layers are not safe beside PyTorch's and under concurrent callers. Kernels
compiled with ``nogil`` run in ordinary Python threads instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import torch

BLOCKS_PER_THREAD = 4
"""Blocks of a thread: rows differ in work, and a late thread leaves its blocks to the others."""

_pools: dict[int, ThreadPoolExecutor] = {}
_lock = Lock()


def in_row_blocks(function: Callable[..., object], rows: int, *arguments: object) -> None:
    """Call ``function(start, stop, *arguments)`` on blocks that cover ``range(rows)`` once.

    With one thread (`torch.get_num_threads`) or one row it is a single call in this thread.
    Blocks must not write to the same places, then the result does not depend on the threads.

    Args:
        function: releases the interpreter's lock, or nothing runs at the same time.
        rows: how many rows there are; none: no call.
        arguments: passed on as they are.
    """
    threads = min(torch.get_num_threads(), rows)
    if threads <= 1:
        if rows:
            function(0, rows, *arguments)
        return
    blocks = min(rows, threads * BLOCKS_PER_THREAD)
    edges = [rows * block // blocks for block in range(blocks + 1)]
    starts = iter(range(blocks))  # next() of a range's iterator is atomic

    def work() -> None:
        for block in starts:
            function(edges[block], edges[block + 1], *arguments)

    others = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        for other in others:
            if not other.cancel():  # cancelled: never began, as the pool serves other callers
                other.result()


def _pool(threads: int) -> ThreadPoolExecutor:
    with _lock:
        if threads not in _pools:
            _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="lookwider")
        return _pools[threads]


def _forget_pools() -> None:
    """Begin anew in a forked child: none of its parent's threads lives there."""
    global _lock
    _lock = Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_forget_pools)
