import multiprocessing
import os
import signal
import subprocess
import threading
from multiprocessing.synchronize import Event

import pytest
from rich.console import Console

from lookwider.training.stopping import (
    StoppedError,
    leave_signals_to_main,
    stop_on_signals,
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_handlers_are_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals(Console(quiet=True)) as stop:
        assert stop.signal is None
        os.kill(os.getpid(), number)
        assert stop.signal == number
    assert signal.getsignal(number) is before


def test_a_second_interrupt_stops_at_once() -> None:
    with stop_on_signals(Console(quiet=True)):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    during = []

    def work() -> None:
        with stop_on_signals(Console(quiet=True)):
            during.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [before]


def test_messages_say_what_was_saved() -> None:
    assert str(StoppedError(0, 2)) == "stopped by SIGINT, nothing was saved yet"
    assert str(StoppedError(7, 15)) == "stopped by SIGTERM, saved after step 7"


def read(ready: Event) -> None:
    leave_signals_to_main(0)
    ready.set()
    threading.Event().wait()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_reading_processes_end_by_the_main_one_only(method: str) -> None:
    context = multiprocessing.get_context(method)
    ready = context.Event()
    reader = context.Process(target=read, args=(ready,), daemon=True)
    reader.start()
    assert ready.wait(60)
    for name in ("INT", "TERM"):
        subprocess.run(["kill", f"-{name}", str(reader.pid)], check=True)
    reader.join(0.5)
    assert reader.is_alive()
    reader.terminate()
    reader.join(60)
    assert reader.exitcode == 0
