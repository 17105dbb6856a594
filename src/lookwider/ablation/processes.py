"""Runs in processes of their own: one per device, and the end of one is not that of the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from lookwider.ablation.plan import Job, Plan
from lookwider.training.hardware import uses_gpu

WORKER = (sys.executable, "-m", "lookwider.ablation.worker")
"""What is run; it reads one line of JSON: the run's config and the split to measure on."""

STOPPED = 130
"""Exit code of a run that was stopped and has saved its state."""

ERROR = "error: "
"""Begins the last words of a run that failed, in its log."""

KILL_SECONDS = 10.0
"""How long a process that was told to end at once may take."""


class Worker:
    """A run in a process of its own, whose messages go to a log file.

    The process is in a group of its own, so that Ctrl-C in a terminal reaches it only through
    `stop`; it ends by itself when this process is gone.

    Args:
        job: the run.
        plan: of the table.
        slot: number of the place it takes among those that run at once.
        slots: how many there are.
    """

    def __init__(self, job: Job, plan: Plan, slot: int, slots: int) -> None:
        self.job, self.slot = job, slot
        self.log = plan.out / "logs" / f"{job.row.folder}-seed{job.seed}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        order = {"config": job.config.model_dump(mode="json"), "split": plan.split}
        with self.log.open("ab") as log:
            self.begin = log.tell()
            self.process = subprocess.Popen(
                WORKER,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(slot, slots, gpu=uses_gpu(job.config)),
                process_group=0,
            )
        assert self.process.stdin is not None
        # stays open: its end tells the process that this one is gone
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self.process.poll()

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.code is not None

    def stop(self) -> None:
        """Ask it to finish the step and save."""
        if not self.ended:
            self.process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        """Wait for its end."""
        self.process.wait()
        self._close()

    def kill(self) -> None:
        """End it now; what it saved last is kept."""
        if not self.ended:
            self.process.terminate()
            try:
                self.process.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()

    def error(self) -> str | None:
        """Return why it failed, or None where it did not; only once it has ended."""
        self._close()
        code = self.code
        if code == 0:
            return None
        said = read_error(self.log, self.begin)
        if said is not None:
            return said
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"its process was ended by {name}; out of memory? see {self.log}"
        return f"its process ended with exit code {code}; see {self.log}"


def read_error(log: Path, begin: int) -> str | None:
    """Return the last words of a failed run from its log, or None where there are none."""
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
    """Return the environment of a run: a GPU of its own, or its share of the cores.

    Args:
        slot: number of the run's place.
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
