"""A whole run: from a config to trained weights in a folder, stopped and continued at will."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging
from rich.console import Console

from lookwider.data import SegmentationDataset, open_dataset
from lookwider.errors import DataError
from lookwider.kernels.training_convolutions import trained_convolutions
from lookwider.models import Segmenter, create_model, initialise_from
from lookwider.training.band_statistics import band_statistics, fits_imagenet
from lookwider.training.checking import check_run
from lookwider.training.checkpointing import (
    BEST,
    SavedState,
)
from lookwider.training.class_statistics import class_weights
from lookwider.training.collectives import from_main, main_first
from lookwider.training.config import TrainConfig
from lookwider.training.distributed import Processes, connected, find_processes
from lookwider.training.hardware import (
    choose_precision,
    memory_layout,
    peak_memory,
    uses_gpu,
)
from lookwider.training.keeping import KeepRun
from lookwider.training.loaders import train_loader, val_loader
from lookwider.training.logs import MetricsTable, RunLog
from lookwider.training.progress import ShowProgress
from lookwider.training.recomputing import recomputed_activations
from lookwider.training.run_folder import check_shared, prepare_folder
from lookwider.training.sampling import seed_for
from lookwider.training.stopping import (
    StoppedError,
    StopRequest,
    stop_on_signals,
)
from lookwider.training.task import SegmentationTask
from lookwider.training.trainer import quiet_engine, trainer_for
from lookwider.weights.checkpoint import load
from lookwider.weights.description import describe

METRICS, WEIGHTS_FILE = "metrics.csv", "class_weights.json"


@dataclass(frozen=True)
class TrainResult:
    """What a run ended with.

    Attributes:
        run: its folder.
        steps: optimiser steps taken.
        best_mean_iou: of the validations, None without one.
        best_step: where it was reached.
        seconds: of this call.
        memory: most memory held, in GiB, by kind.
        data_wait: share of the steps' time spent waiting for data.
    """

    run: Path
    steps: int
    best_mean_iou: float | None
    best_step: int
    seconds: float
    memory: dict[str, float]
    data_wait: float = 0.0


def train(config: TrainConfig, console: Console | None = None) -> TrainResult:
    """Train as the config says, or continue where the same run was stopped.

    The run's folder holds ``config.json``, ``metrics.csv``, TensorBoard events, and the
    checkpoints ``best/``, ``last/`` and ``previous/``. On one machine's CPU the weights do not
    depend on whether and where the run was stopped.

    Args:
        config: everything the run depends on; see `lookwider.training.recipes.configure`.
        console: for progress and messages; standard error when not given.

    Raises:
        ConfigError: the settings do not fit the data, or the folder holds another run.
        CheckpointError: a state cannot be written or read.
        NonFiniteError: the loss is not finite any more.
        LostProcessError: another of the processes that train together ended.
        MainFailedError: in the other processes, when the first one cannot begin.
        StoppedError: SIGINT or SIGTERM came; the state was saved.
    """
    console = console or Console(stderr=True)
    processes = find_processes(config)
    if processes.rank > 0:
        console = Console(quiet=True)
    with (
        torch.random.fork_rng(),
        quiet_engine(),
        stop_on_signals(console) as stop,
        connected(processes, config),
    ):
        # first, so that no folder is made for data that is not there
        train_data, val_data = main_first(lambda: _open(config))
        saved = from_main(lambda: prepare_folder(config, console))
        check_shared(config, saved)
        max_steps = config.total_steps(len(train_data))
        if saved is not None and saved.step >= max_steps:
            console.print(f"{config.out}: already finished, {saved.step} steps")
            return _finished(config, saved.step)
        torch.manual_seed(seed_for(config.seed, "weights"))
        model = _model(config, train_data, console, saved)
        check_run(config, train_data, val_data, model, processes.count)
        weights = None
        if config.class_weights is not None:
            weights = class_weights(train_data, config.out / WEIGHTS_FILE, console)
        model = model.to(memory_format=memory_layout(model, config))
        model.train()
        if config.freeze_trunk:
            # evaluation mode keeps the statistics of batch norms; the trainer leaves modes alone
            model.get_submodule("backbone").requires_grad_(False).eval()
        task = SegmentationTask(model, config, max_steps, weights)
        trunk = model.get_submodule("backbone")
        again = recomputed_activations(trunk) if config.checkpoint_activations else nullcontext()
        with again, trained_convolutions(model):
            return _fit(task, train_data, val_data, saved, stop, console, processes)


def _open(config: TrainConfig) -> tuple[SegmentationDataset, SegmentationDataset | None]:
    train_data = open_dataset(config.data, config.split, layout=config.layout)
    if config.val_split is None:
        return train_data, None
    return train_data, open_dataset(config.data, config.val_split, layout=config.layout)


def _model(
    config: TrainConfig,
    dataset: SegmentationDataset,
    console: Console,
    saved: SavedState | None,
) -> Segmenter:
    """Build the model for a data set; weights to start from are only read for a fresh run."""
    fresh = saved is None
    model = create_model(
        config.model,
        backbone=config.backbone,
        classes=dataset.classes,
        extra_classes=dataset.extra_classes,
        in_channels=dataset.in_channels,
        pretrained=config.pretrained and fresh,
        **config.model_options,
    )
    model.class_map = dataset.class_map
    if saved is not None:
        model.backbone.preprocessing = describe(saved.folder).preprocessing
    elif not (config.pretrained or fits_imagenet(dataset)):
        model.backbone.preprocessing = band_statistics(dataset)
    if config.init_from is not None and fresh:
        left = initialise_from(model, load(config.init_from))
        console.print(
            f"began from {config.init_from}; as initialised: {', '.join(left) or 'nothing'}"
        )
    return model


def _fit(
    task: SegmentationTask,
    train_data: SegmentationDataset,
    val_data: SegmentationDataset | None,
    saved: SavedState | None,
    stop: StopRequest,
    console: Console,
    processes: Processes,
) -> TrainResult:
    config, max_steps = task.config, task.max_steps
    start = 0 if saved is None else saved.step
    every = config.val_every or max(1, max_steps // 10)
    val_every = None if val_data is None else every
    log = RunLog(
        MetricsTable(config.out / METRICS), config.log_every, config.batch_size, len(train_data)
    )
    keep = KeepRun(
        config.out,
        max_steps=max_steps,
        val_every=val_every,
        save_every=config.save_every or every,
        log=log,
        stop=stop,
        console=console,
        protocol=_protocol(config, max_steps, len(train_data), processes.count),
    )
    callbacks: list[Callback] = [log, ShowProgress(console, max_steps, start, log, keep), keep]
    if config.ema is not None:
        callbacks.insert(0, EMAWeightAveraging(decay=config.ema))
    trainer = trainer_for(
        task, callbacks, every if val_data is not None else None, start, processes
    )
    try:
        trainer.fit(
            task,
            train_loader(config, train_data, task, trainer, start),
            None if val_data is None else val_loader(config, val_data, task, trainer),
            ckpt_path=None if saved is None else str(saved.folder),
        )
    except SystemExit as error:  # the trainer's answer to a second Ctrl-C
        raise StoppedError(keep.saved_step, stop.signal or signal.SIGINT) from error
    except DataError as error:
        # a reading process puts its traceback around the message
        raise DataError(str(error).rpartition("DataError: ")[2].strip()) from None
    return TrainResult(
        run=config.out,
        steps=trainer.global_step,
        best_mean_iou=keep.best_mean_iou,
        best_step=keep.best_step,
        seconds=log.elapsed(),
        memory=peak_memory(),
        data_wait=log.data_wait(),
    )


def _protocol(config: TrainConfig, max_steps: int, samples: int, processes: int) -> dict[str, Any]:
    return {
        "config": config.model_dump(mode="json", exclude={"resume", "out"}),
        "steps": max_steps,
        "training_images": samples,
        "processes": processes,
        "precision": choose_precision(config),
        "device": torch.cuda.get_device_name() if uses_gpu(config) else "cpu",
    }


def _finished(config: TrainConfig, steps: int) -> TrainResult:
    best = config.out / BEST
    scores = describe(best).scores if best.is_dir() else {}
    return TrainResult(
        run=config.out,
        steps=steps,
        best_mean_iou=scores.get("val_mean_iou"),
        best_step=scores.get("step", 0),
        seconds=0.0,
        memory=peak_memory(),
    )
