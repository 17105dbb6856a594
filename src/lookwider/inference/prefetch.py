"""Read files ahead of the network, in order."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 2
) -> Iterator[tuple[Item, Future[Result]]]:
    """Apply ``function`` in threads, at most ``workers + 1`` items ahead of the consumer.

    Threads do, because decoding images releases the interpreter. Yields each item with its
    future, in the order of the items: ``future.result()`` raises what ``function`` raised.

    Example:
        >>> [(n, f.result()) for n, f in prefetch(lambda n: n * n, range(3))]
        [(0, 0), (1, 1), (2, 4)]
    """
    source = iter(items)
    pending: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            for item in itertools.islice(source, max(1, workers) + 1):
                pending.append((item, pool.submit(function, item)))
            while pending:
                yield pending.popleft()
                for item in itertools.islice(source, 1):
                    pending.append((item, pool.submit(function, item)))
        finally:
            for _, future in pending:
                future.cancel()
