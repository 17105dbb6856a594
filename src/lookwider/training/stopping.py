"""Ctrl-C and termination: finish the step, save, and say how to go on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(Exception):
    """Training stopped on request.

    Attributes:
        step: the optimiser step that the saved state continues after; 0 when nothing was saved.
        signal: the signal's number; a command exits with 128 + it.
    """

    def __init__(self, step: int, number: int) -> None:
        saved = f"saved after step {step}" if step else "nothing was saved yet"
        super().__init__(f"stopped by {signal.Signals(number).name}, {saved}")
        self.step = step
        self.signal = number


class StopRequest:
    """Whether a signal asked to stop: noted at any time, read between steps.

    Args:
        console: where it is said that the signal was noted.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.signal: int | None = None

    def listen(self) -> None:
        """Note SIGINT and SIGTERM from now on; a second SIGINT stops at once.

        Python lets only the main thread handle signals; in another this does nothing.
        """
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
        self.console.print("stopping after this step; press Ctrl-C again to stop at once")


@contextmanager
def stop_on_signals(console: Console) -> Iterator[StopRequest]:
    """Yield a request that listens; the previous handlers are put back at the end."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    request = StopRequest(console)
    request.listen()
    try:
        yield request
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def leave_signals_to_main(worker: int) -> None:
    """Let a reading process leave signals to the main process, which ends it in order.

    A terminal, a launcher and SLURM send them to all processes of a run. The main process ends this
    one by SIGTERM too, which is told from the others' by its sender, where the system says it.
    """
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main = multiprocessing.parent_process()
    if main is not None and hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with, args=(main.pid,), daemon=True).start()


def _end_with(main: int) -> None:
    """End this process by a SIGTERM of the main one; those of others are dropped."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != main:
        pass
    os._exit(0)
