"""One piece of work at a time for each open page: with progress, and stopped when asked."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from lookwider.web.studio.segmented import Tell

Result = TypeVar("Result")


class StoppedError(Exception):
    """The user stopped the work, or began another."""


@dataclass(frozen=True)
class Progress:
    """How far the work is.

    Attributes:
        share: that is done, 0 to 1.
        words: what is being done.
    """

    share: float
    words: str


@dataclass(frozen=True)
class Done(Generic[Result]):
    """The work has ended well."""

    result: Result


class Work:
    """Work that can be stopped from another thread, between two of its steps."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def stop(self) -> None:
        """Have the work end with `StoppedError` at its next step."""
        self._stop.set()

    def run(self, task: Callable[[Tell], Result]) -> Iterator[Progress | Done[Result]]:
        """Do a task in a thread; yield how far it is and, last, what it gave.

        When the iteration is given up, the task is stopped.

        Raises:
            StoppedError: it was stopped.
            Exception: what the task raised.
        """
        told: queue.SimpleQueue[Progress | Done[Result] | BaseException] = queue.SimpleQueue()

        def tell(share: float, words: str) -> None:
            if self._stop.is_set():
                raise StoppedError
            told.put(Progress(share, words))

        def do() -> None:
            try:
                told.put(Done(task(tell)))
            except BaseException as error:
                told.put(error)

        threading.Thread(target=do, name="studio", daemon=True).start()
        try:
            while isinstance(news := told.get(), Progress):
                yield news
        finally:
            self.stop()
        if isinstance(news, BaseException):
            raise news
        yield news
