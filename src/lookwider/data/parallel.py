"""Look at many files at once, with progress and the time left."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """Return how many files to read at once: one a processor that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_files(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    what: str,
    workers: int | None = None,
    show: bool = True,
) -> list[Result]:
    """Apply a function to every item in threads; results in the order of the items.

    Threads do, because decoding images releases the interpreter.

    Args:
        function: what to do with one item.
        items: the items.
        what: words for the progress line.
        workers: threads; one a processor when None.
        show: whether to draw progress, which happens on a terminal only.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with (
        Progress(
            *columns,
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (show and console.is_terminal),
        ) as progress,
        ThreadPoolExecutor(workers or default_workers()) as pool,
    ):
        task = progress.add_task(what, total=len(items))

        def run(item: Item) -> Result:
            result = function(item)
            progress.advance(task)
            return result

        return list(pool.map(run, items))
