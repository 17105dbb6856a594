"""When a run validates, saves and stops: the callback that owns the run's folders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from rich.console import Console

from lookwider.evaluation import metrics
from lookwider.training.checkpointing import BEST, NEXT, SaveOptions, rotate
from lookwider.training.collectives import largest_of_all
from lookwider.training.logs import RunLog
from lookwider.training.stopping import StoppedError, StopRequest
from lookwider.training.task import SegmentationTask


class KeepRun(Checkpoint):
    """Save the last state on time, the best model by mean IoU, and stop when asked.

    States are saved only between optimiser steps. Where a validation is due the state is saved
    after it, so that a continued run never leaves one out.

    Args:
        run: the run's folder.
        max_steps: of the run.
        val_every: steps between validations; None for none.
        save_every: steps between saves.
        log: where validation figures are written.
        stop: whether a signal asked to stop.
        console: for messages.
        protocol: of the training, for ``lookwider.json``.
    """

    def __init__(
        self,
        run: Path,
        *,
        max_steps: int,
        val_every: int | None,
        save_every: int,
        log: RunLog,
        stop: StopRequest,
        console: Console,
        protocol: Mapping[str, Any],
    ) -> None:
        self.run = run
        self.max_steps = max_steps
        self.val_every = val_every
        self.save_every = save_every
        self.run_log = log
        self.stop = stop
        self.console = console
        self.protocol = dict(protocol)
        self.best_mean_iou: float | None = None
        self.best_step = 0
        self.scores: dict[str, Any] = {}
        self.saved_step = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what is best so far."""
        return {
            "best_mean_iou": self.best_mean_iou,
            "best_step": self.best_step,
            "scores": self.scores,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what was best before the run was stopped."""
        self.best_mean_iou = state_dict["best_mean_iou"]
        self.best_step = state_dict["best_step"]
        self.scores = state_dict["scores"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note signals here again: the trainer has put its own handler for SIGTERM."""
        del pl_module
        self.saved_step = trainer.global_step
        self.stop.listen()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """After an optimiser step, save when due and stop when asked."""
        del pl_module, outputs, batch
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        step = trainer.global_step
        finished = step >= self.max_steps
        if finished:
            trainer.should_stop = True  # asks for the last validation, due or not
        if self.validates_after(step):
            return
        asked = self._asked(trainer)
        if finished or asked or step % self.save_every == 0:
            self.save(trainer)
        self._stop_if(asked, trainer)

    def validates_after(self, step: int) -> bool:
        """Whether a validation follows this step."""
        if self.val_every is None:
            return False
        return step % self.val_every == 0 or step >= self.max_steps

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the figures, keep the model when it is the best, save, and stop when asked."""
        assert isinstance(pl_module, SegmentationTask)
        counts = pl_module.counts.compute()
        pl_module.counts.reset()
        iou = metrics.mean_iou(counts)
        figures = {
            "val_mean_iou": iou,
            "val_pixel_accuracy": metrics.pixel_accuracy(counts),
            "val_mean_accuracy": metrics.mean_accuracy(counts),
            "val_freq_weighted_iou": metrics.freq_weighted_iou(counts),
            "val_classes_present": metrics.classes_present(counts),
        }
        self.run_log.write(trainer, figures)
        self.scores = {"split": "val", "step": trainer.global_step, **figures}
        self._warn_of_missing(counts, pl_module)
        # the best goes first: killed in between, the steps since the last state come again
        if not math.isnan(iou) and (self.best_mean_iou is None or iou > self.best_mean_iou):
            self.best_mean_iou, self.best_step = iou, trainer.global_step
            trainer.save_checkpoint(self.run / BEST, storage_options=self._options(training=False))
        self.save(trainer)
        self._stop_if(self._asked(trainer), trainer)

    def _warn_of_missing(self, counts: Any, task: SegmentationTask) -> None:
        never = (counts.sum(1) > 0) & (counts.sum(0) == 0)
        names = [name for name, flag in zip(task.model.classes.names, never, strict=True) if flag]
        if names and self.stop.signal is None:
            self.console.print(
                f"step {self.scores['step']}: never predicted: {', '.join(names)}; if this stays, "
                "try class_weights=median_frequency"
            )

    def _options(self, *, training: bool) -> SaveOptions:
        return SaveOptions(training=training, protocol=self.protocol, scores=self.scores)

    def save(self, trainer: Trainer) -> None:
        """Save the state as ``last/``; the one before becomes ``previous/``."""
        trainer.save_checkpoint(self.run / NEXT, storage_options=self._options(training=True))
        if trainer.is_global_zero:
            rotate(self.run)
        trainer.strategy.barrier("saved")
        self.saved_step = trainer.global_step
        self.run_log.leave_out()

    def _asked(self, trainer: Trainer) -> int:
        """Return the signal that asked any of the processes to stop, or 0: all stop together."""
        return largest_of_all(self.stop.signal or 0, trainer.strategy.root_device)

    def _stop_if(self, asked: int, trainer: Trainer) -> None:
        if asked and trainer.global_step < self.max_steps:
            raise StoppedError(self.saved_step, asked)
