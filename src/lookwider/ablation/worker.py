"""The process of one run: ``python -m lookwider.ablation.worker``, told what to do on its input."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback

from rich.console import Console

from lookwider.ablation.measure import train_and_measure
from lookwider.ablation.processes import STOPPED
from lookwider.errors import LookwiderError
from lookwider.processes import ERROR
from lookwider.training.config import check_config
from lookwider.training.stopping import StoppedError

FAILED = 2
"""Exit code of a run that failed."""

SAVE_SECONDS = 300.0
"""How long a run whose table is gone may take to finish its step and save."""

WATCH = "end of orders"
"""Name of the thread that waits for the end of the process that wants the run."""


def main(orders: int = 0) -> int:
    """Train and measure the run that a line of JSON describes; return the exit code.

    The last words of a failed run begin with `ERROR`.

    Args:
        orders: descriptor to read from, standard input. Its end means that the process which
            wants the run is gone, and the run is stopped and saved.
    """
    order = json.loads(_line(orders))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    threading.Thread(target=_stop_at_end, args=(orders,), name=WATCH, daemon=True).start()
    try:
        train_and_measure(check_config(order["config"]), order["split"], console)
    except (StoppedError, KeyboardInterrupt) as stopped:
        console.print(str(stopped), markup=False)
        return STOPPED
    except LookwiderError as error:
        console.print(f"{ERROR}{error}", markup=False)
        return FAILED
    except Exception as error:  # the last words are read from the log
        console.print(traceback.format_exc(), markup=False)
        console.print(f"{ERROR}{type(error).__name__}: {error}", markup=False)
        return FAILED
    return 0


def _line(descriptor: int) -> bytes:
    """Read a line.

    Not through `sys.stdin`: a thread that waits there holds a lock, which the forked processes
    that read images would inherit and wait for.
    """
    data = b""
    while not data.endswith(b"\n"):
        part = os.read(descriptor, 1 << 16)
        if not part:
            break
        data += part
    return data


def _stop_at_end(descriptor: int) -> None:
    """Stop this process as a signal does when nobody holds the other end any more."""
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SAVE_SECONDS)
    os._exit(STOPPED)


if __name__ == "__main__":
    sys.exit(main())
