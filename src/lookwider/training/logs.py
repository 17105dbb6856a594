"""What a run writes down: one table of numbers that survives interruption, and TensorBoard."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lookwider.data.sample import Batch
from lookwider.images import write_bytes
from lookwider.training.collectives import process_count, sum_of_all
from lookwider.training.hardware import peak_memory

COLUMNS = (
    "step",
    "epoch",
    "loss",
    "lr",
    "images_per_second",
    "data_wait",
    "memory",
    "val_mean_iou",
    "val_pixel_accuracy",
    "val_mean_accuracy",
    "val_freq_weighted_iou",
    "val_classes_present",
    "seconds",
)
"""Columns of ``metrics.csv``: ``data_wait`` is the share of time spent waiting for data, ``memory``
the most GiB held so far, of the GPU where there is one."""


class MetricsTable:
    """``metrics.csv``: rows by step, in order, each written as soon as it is known.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, step: int) -> None:
        """Begin the table; rows up to ``step`` stay, later ones come again and are dropped."""
        kept = [row for row in read_metrics(self.path) if int(row["step"]) <= step]
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        write_bytes(self.path, text.getvalue().encode())

    def add(self, row: Mapping[str, float]) -> None:
        """Append a row; columns that it lacks stay empty."""
        with self.path.open("a", encoding="utf-8", newline="") as file:
            values = {name: _short(value) for name, value in row.items()}
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(values)


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Return the rows of a ``metrics.csv``; a last row that was cut off is left out."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if None not in row.values() and row["step"].isdigit()]


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


class RunLog(Callback):
    """Measure a run and write rows of `COLUMNS` to the table and to the trainer's loggers.

    Args:
        table: ``metrics.csv``.
        every: steps between rows.
        batch_size: images of a forward pass, over all processes.
        samples: of the training split.
    """

    def __init__(self, table: MetricsTable, every: int, batch_size: int, samples: int) -> None:
        self.table = table
        self.every = every
        self.batch_size = batch_size
        self.samples = samples
        self.losses: list[Tensor] = []
        self.started = self.mark = time.monotonic()
        self.waiting = self.working = 0.0
        self.waited = self.worked = 0.0  # of the whole run, without its first batch
        self.recent_loss = float("nan")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the table and start the clocks."""
        del pl_module
        if trainer.is_global_zero:
            self.table.begin(trainer.global_step)
        self.started = self.mark = time.monotonic()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Count the time since the last step as waiting."""
        del trainer, pl_module, batch, batch_idx
        now = time.monotonic()
        self.waiting += now - self.mark
        if self.worked:  # the first batch takes longer: readers start, and nothing was prepared
            self.waited += now - self.mark
        self.mark = now

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count the time of the step as work; write a row when one is due."""
        del pl_module, batch
        self.losses.append(outputs["loss"].detach())
        now = time.monotonic()
        self.working += now - self.mark
        self.worked += now - self.mark
        self.mark = now
        accumulated = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if accumulated and trainer.global_step % self.every == 0:
            self._write_training(trainer, batch_idx)

    def _write_training(self, trainer: Trainer, batch_idx: int) -> None:
        # of the batches of all processes: the mean of the shares that each had
        self.recent_loss = float(sum_of_all(torch.stack(self.losses).mean())) / process_count()
        # the trainer divided each by the number accumulated for the mean gradient
        self.recent_loss *= trainer.accumulate_grad_batches
        elapsed = max(self.waiting + self.working, 1e-9)
        images = len(self.losses) * self.batch_size
        memory = peak_memory()
        self.write(
            trainer,
            {
                "epoch": (batch_idx + 1) * self.batch_size / self.samples,
                "loss": self.recent_loss,
                "lr": trainer.optimizers[0].param_groups[0]["lr"],
                "images_per_second": images / elapsed,
                "data_wait": self.waiting / elapsed,
                "memory": memory.get("GPU memory", memory["memory"]),
            },
        )
        self.losses.clear()
        self.waiting = self.working = 0.0
        self.leave_out()

    def leave_out(self) -> None:
        """Leave what was done since the last step, saving or validation, out of the times."""
        self.mark = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave validation out of the time between steps."""
        del trainer, pl_module
        self.leave_out()

    def elapsed(self) -> float:
        """Return the seconds since training began."""
        return time.monotonic() - self.started

    def data_wait(self) -> float:
        """Return the share of the run's steps spent waiting for data, without the first batch."""
        return self.waited / max(self.waited + self.worked, 1e-9)

    def write(self, trainer: Trainer, values: Mapping[str, float]) -> None:
        """Write a row for the current step, from the main process only."""
        step = trainer.global_step
        if trainer.is_global_zero:
            self.table.add({"step": step, **values, "seconds": self.elapsed()})
            for logger in trainer.loggers:
                logger.log_metrics(dict(values), step)
