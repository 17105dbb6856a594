"""Processes of our own: given orders, heard, and never left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch

ERROR = "error: "
"""Begins the last words of a process that failed, in its log."""

KILL_SECONDS = 10.0
"""How long a process that was told to end at once may take."""


class Child:
    """A process that reads its orders from its input, and whose messages go to a log file.

    It is in a group of its own, so that Ctrl-C in a terminal reaches it only through `interrupt`.
    Its input stays open while this process lives: the end of it tells the child to end too.

    Args:
        command: what is run.
        log: appended to.
        environment: of the process, see `environment`.
        answers: whether its standard output is read here, as `answers`; else it goes to the log.

    Attributes:
        answers: its standard output, where that is read.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        *,
        answers: bool = False,
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as messages:
            self._begin = messages.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if answers else messages,
                stderr=messages if answers else subprocess.STDOUT,
                env=dict(environment),
                process_group=0,
            )
        self.answers: IO[bytes] | None = self._process.stdout

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.code is not None

    def send(self, order: object) -> None:
        """Give it an order, as a line of JSON.

        Raises:
            BrokenPipeError: it has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def interrupt(self) -> None:
        """Ask it to finish what it is at, as Ctrl-C does."""
        if not self.ended:
            self._process.send_signal(signal.SIGINT)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for its end."""
        self._process.wait(seconds)
        self._close()

    def kill(self) -> None:
        """End it now."""
        if not self.ended:
            self._process.terminate()
            try:
                self._process.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._close()

    def _close(self) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # an order that it did not live to read
                self._process.stdin.close()

    def error(self) -> str | None:
        """Return why it failed, or None where it did not; only once it has ended."""
        self._close()
        code = self.code
        if code == 0:
            return None
        said = read_error(self.log, self._begin)
        if said is not None:
            return said
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"its process was ended by {name}; out of memory? see {self.log}"
        return f"its process ended with exit code {code}; see {self.log}"


def die() -> None:
    """End this process as the system does: who looks after it takes another."""
    os.kill(os.getpid(), signal.SIGKILL)


def read_error(log: Path, begin: int) -> str | None:
    """Return the last words of a failed process from its log, or None where there are none."""
    text = "\n" + log.read_bytes()[begin:].decode("utf-8", "replace")
    _, found, said = text.rpartition(f"\n{ERROR}")
    return said.strip() if found else None


def environment(
    slot: int,
    slots: int,
    *,
    gpu: bool,
    outer: Mapping[str, str] | None = None,
    gpus: int | None = None,
) -> dict[str, str]:
    """Return the environment of one of several processes: a GPU of its own, or some of the cores.

    Args:
        slot: number of the process's place.
        slots: how many run at once.
        gpu: whether it runs on a GPU.
        outer: this process's environment when None.
        gpus: how many there are; as PyTorch sees when None.

    Example:
        >>> outer = {"CUDA_VISIBLE_DEVICES": "4,6"}
        >>> environment(3, 4, gpu=True, outer=outer, gpus=2)["CUDA_VISIBLE_DEVICES"]
        '6'
    """
    given = dict(os.environ if outer is None else outer)
    if gpu:
        count = max(1, torch.cuda.device_count() if gpus is None else gpus)
        visible = given.get("CUDA_VISIBLE_DEVICES", "").split(",")
        names = visible if visible != [""] else [str(index) for index in range(count)]
        given["CUDA_VISIBLE_DEVICES"] = names[slot % len(names)]
    else:
        share = max(1, (os.cpu_count() or 1) // slots)
        given.setdefault("OMP_NUM_THREADS", str(share))
    return given
