"""The loaders of a run: which images each process reads, and how they become batches."""

from __future__ import annotations

import dataclasses

import numpy as np
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, Subset

from lookwider.classes import IGNORE_INDEX
from lookwider.data import SegmentationDataset
from lookwider.data.loading import Collate, DrawnSamples, OrderedSamples
from lookwider.data.sample import Sample
from lookwider.data.transforms import Compose
from lookwider.training.augmentation import training_transform, validation_transform
from lookwider.training.config import TrainConfig
from lookwider.training.sampling import StepSampler
from lookwider.training.stopping import leave_signals_to_main
from lookwider.training.task import SegmentationTask


def train_loader(
    config: TrainConfig,
    dataset: SegmentationDataset,
    task: SegmentationTask,
    trainer: Trainer,
    start: int,
) -> DataLoader[Sample]:
    """Return the batches from optimiser step ``start`` on, for this process."""
    sampler = StepSampler(
        len(dataset),
        config.batch_size,
        config.seed,
        start=start * config.accumulate,
        stop=task.max_steps * config.accumulate,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )
    preprocessing = task.model.preprocessing
    return DataLoader(
        DrawnSamples(dataset, training_transform(config, preprocessing)),
        batch_sampler=sampler,
        collate_fn=Collate(preprocessing),
        num_workers=config.workers,
        worker_init_fn=leave_signals_to_main,
    )


def val_loader(
    config: TrainConfig, dataset: SegmentationDataset, task: SegmentationTask, trainer: Trainer
) -> DataLoader[Sample]:
    """Return the validation images in order, for this process."""
    count = min(len(dataset), config.val_limit or len(dataset))
    transform = validation_transform(config)
    # each process takes its own part: every image counts once, none is repeated to fill up
    part = range(trainer.global_rank, count, trainer.world_size)
    if not part:  # the others wait for each to validate: of this image no pixel counts
        part, transform = range(1), Compose((transform, unlabelled))
    samples = OrderedSamples(dataset, transform)
    return DataLoader(
        Subset(samples, part),
        batch_size=config.val_batch_size,
        collate_fn=Collate(task.model.preprocessing),
        num_workers=min(config.workers, 1),
        worker_init_fn=leave_signals_to_main,
        persistent_workers=config.workers > 0,
    )


def unlabelled(sample: Sample) -> Sample:
    """Return a sample of which no pixel counts."""
    assert sample.label is not None
    return dataclasses.replace(sample, label=np.full_like(sample.label, IGNORE_INDEX))
