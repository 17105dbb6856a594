"""Live progress of a run: loss, mean IoU and time left, on a terminal or in a log file."""

from __future__ import annotations

import math
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from lookwider.training.keeping import KeepRun
from lookwider.training.logs import RunLog

LINE_SECONDS = 30.0
"""Seconds between lines where no terminal can redraw one."""


def duration(seconds: float) -> str:
    """Return a time as people say it.

    Example:
        >>> duration(42), duration(3725)
        ('42 s', '1 h 02 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class ShowProgress(Callback):
    """Show where the run is: a bar on a terminal, a line every half minute elsewhere.

    Args:
        console: where.
        max_steps: of the run.
        start_step: where it begins.
        log: knows the recent loss.
        keep: knows the best mean IoU.
    """

    def __init__(
        self, console: Console, max_steps: int, start_step: int, log: RunLog, keep: KeepRun
    ) -> None:
        self.console = console
        self.max_steps = max_steps
        self.start_step = start_step
        self.run_log = log
        self.keep = keep
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.training = TaskID(0)
        self.validating = TaskID(0)
        self.begun = self.line_at = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        del trainer, pl_module
        self.begun = self.line_at = time.monotonic()
        self.training = self.progress.add_task(
            "training", total=self.max_steps, completed=self.start_step, figures=""
        )
        self.validating = self.progress.add_task("validating", visible=False, figures="")
        self.progress.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bar, or write a line when one is due."""
        del pl_module, outputs, batch, batch_idx
        step = trainer.global_step
        self.progress.update(self.training, completed=step, figures=self.figures(step))
        now = time.monotonic()
        if not self.console.is_terminal and now - self.line_at >= LINE_SECONDS:
            self.line_at = now
            self.console.print(f"step {step}/{self.max_steps}  {self.figures(step)}")

    def figures(self, step: int) -> str:
        """Return loss, mean IoU and time left in one line."""
        loss = self.run_log.recent_loss
        parts = [] if math.isnan(loss) else [f"loss {loss:.4g}"]
        if "val_mean_iou" in self.keep.scores:
            parts.append(f"val mean IoU {self.keep.scores['val_mean_iou']:.3f}")
        done = step - self.start_step
        if done > 0:
            left = (time.monotonic() - self.begun) / done * (self.max_steps - step)
            parts.append(f"{duration(left)} left")
        return "  ".join(parts)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar of the validation."""
        del pl_module
        total = sum(trainer.num_val_batches)
        self.progress.reset(self.validating, total=total, visible=True)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the validation's bar."""
        del trainer, pl_module, outputs, batch, dataloader_idx
        self.progress.update(self.validating, completed=batch_idx + 1)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hide the validation's bar."""
        del trainer, pl_module
        self.progress.update(self.validating, visible=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bars."""
        del trainer, pl_module
        self.progress.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Remove the bars before the error is shown."""
        del trainer, pl_module, exception
        self.progress.stop()
