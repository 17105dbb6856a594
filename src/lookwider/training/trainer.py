"""The trainer of a run: Lightning's, with this package's checkpoints, norms and processes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from lookwider.training.batch_norms import SyncBatchNorms
from lookwider.training.checkpointing import FolderCheckpoints
from lookwider.training.distributed import TIMEOUT, Processes
from lookwider.training.hardware import choose_precision, uses_gpu
from lookwider.training.task import SegmentationTask


def trainer_for(
    task: SegmentationTask,
    callbacks: list[Callback],
    val_every: int | None,
    start: int,
    processes: Processes,
) -> Trainer:
    """Return the trainer of a task.

    Args:
        task: what is trained.
        callbacks: of the run.
        val_every: steps between validations; None for none.
        start: the step it begins at.
        processes: that train together.
    """
    config = task.config
    validation: dict[str, Any] = {"limit_val_batches": 0}
    if val_every is not None:
        validation = {"val_check_interval": val_every * config.accumulate}
    plugins: list[Any] = [FolderCheckpoints(task.model)]
    if processes.environment is not None:
        plugins.append(processes.environment)
    if processes.count > 1:
        plugins.append(SyncBatchNorms(gpu=uses_gpu(config)))
    return Trainer(
        accelerator=config.accelerator,
        devices=processes.devices,
        num_nodes=processes.nodes,
        strategy=DDPStrategy(timeout=TIMEOUT) if processes.count > 1 else "auto",
        precision=choose_precision(config),
        max_steps=task.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.clip_grad,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=TensorBoardLogger(config.out, name="", version="tensorboard", purge_step=start),
        callbacks=callbacks,
        plugins=plugins,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        deterministic=config.deterministic or None,
        default_root_dir=config.out,
        **validation,
    )


@contextmanager
def quiet_engine() -> Iterator[None]:
    """Keep the trainer's advice out of the way; what matters is said by this package."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            # its own use of a torch function that is being renamed
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            yield
    finally:
        logger.setLevel(level)
