"""Ctrl-C and termination: finish the step, save, and say how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console


class StoppedError(Exception):
    """Training stopped on request after saving.

    Attributes:
        step: optimiser steps taken.
        signal: the signal's number; a command exits with 128 + it.
    """

    def __init__(self, step: int, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} after step {step}")
        self.step = step
        self.signal = number


class StopRequest:
    """Whether a signal asked to stop; set by `stop_on_signals`, read between steps."""

    def __init__(self) -> None:
        self.signal: int | None = None


@contextmanager
def stop_on_signals(console: Console) -> Iterator[StopRequest]:
    """Note SIGINT and SIGTERM instead of dying of them; a second SIGINT stops at once.

    Previous handlers are put back at the end. Python lets only the main thread handle signals;
    in another one the request is never set.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if request.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal = number
        console.print("stopping after this step; press Ctrl-C again to stop at once")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interrupt(worker: int) -> None:
    """Let a reading process leave Ctrl-C to the main process, which ends it in order."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
