"""Runs in processes of their own: one per device, and the end of one is not that of the others."""

from __future__ import annotations

import sys

from lookwider.ablation.plan import Job, Plan
from lookwider.processes import Child, environment
from lookwider.training.hardware import uses_gpu

WORKER = (sys.executable, "-m", "lookwider.ablation.worker")
"""What is run; it reads one line of JSON: the run's config and the split to measure on."""

STOPPED = 130
"""Exit code of a run that was stopped and has saved its state."""


class Worker:
    """A run in a process of its own, whose messages go to a log file.

    Args:
        job: the run.
        plan: of the table.
        slot: number of the place it takes among those that run at once.
        slots: how many there are.

    Attributes:
        child: the process.
    """

    def __init__(self, job: Job, plan: Plan, slot: int, slots: int) -> None:
        self.job, self.slot = job, slot
        log = plan.out / "logs" / f"{job.row.folder}-seed{job.seed}.log"
        self.child = Child(WORKER, log, environment(slot, slots, gpu=uses_gpu(job.config)))
        self.child.send({"config": job.config.model_dump(mode="json"), "split": plan.split})
