"""Whether reading keeps up with the model: images per second of the one and of the other."""

from __future__ import annotations

import math
import time
from itertools import count

from lookwider.data import SegmentationDataset
from lookwider.data.loading import Collate, DrawnSamples
from lookwider.data.parallel import default_workers
from lookwider.preprocessing import Preprocessing
from lookwider.training.augmentation import training_transform
from lookwider.training.config import TrainConfig
from lookwider.training.sampling import batch_draws

NOTABLE_WAIT = 0.05
"""Share of the time spent waiting for data from which a run advises what to change."""


def loading_rate(
    config: TrainConfig,
    dataset: SegmentationDataset,
    preprocessing: Preprocessing,
    seconds: float = 3.0,
) -> float:
    """Return how many training images a second one reading process makes ready.

    What is measured is what it does: reading and decoding files, the transforms of the config,
    and the batch. A run of ``workers=4`` has up to four times this rate, as far as there are
    processors for it.

    Args:
        config: of a run.
        dataset: its training split.
        preprocessing: its model's.
        seconds: to measure for, after a first batch.
    """
    samples = DrawnSamples(dataset, training_transform(config, preprocessing))
    collate = Collate(preprocessing)
    started, images = 0.0, 0
    for step in count():
        draws = batch_draws(len(dataset), config.batch_size, config.seed, step)
        collate([samples[draw] for draw in draws])
        now = time.perf_counter()
        if step == 0:  # opens and compiles what later batches find ready
            started = now
            continue
        images += len(draws)
        if now - started >= seconds:
            break
    return images / (now - started)


def needed_workers(data_wait: float, workers: int) -> int:
    """Return how many reading processes would have kept up with the model.

    Without any, the model waits for all of the reading; with some, for what they are late.

    Args:
        data_wait: share of the time that the model waited, below 1.
        workers: reading processes that there were.

    Example:
        >>> needed_workers(0.5, workers=0), needed_workers(0.6, workers=2)
        (1, 5)
    """
    working = max(1 - data_wait, 1e-3)
    needed = workers / working if workers else data_wait / working
    return max(1, math.ceil(needed - 1e-9))


def loading_advice(data_wait: float, workers: int, processors: int | None = None) -> str:
    """Return in words how long a run waited for data, and what to change.

    Args:
        data_wait: share of the time of its steps.
        workers: reading processes that it had.
        processors: that it could use; those of this process when not given.

    Example:
        >>> loading_advice(0.01, workers=1)
        'waited for data 1 % of the time'
        >>> loading_advice(0.5, workers=2, processors=8)
        'waited for data 50 % of the time: try workers=4'
    """
    said = f"waited for data {100 * data_wait:.0f} % of the time"
    if data_wait < NOTABLE_WAIT:
        return said
    available = default_workers() if processors is None else processors
    needed = needed_workers(data_wait, workers)
    if needed <= available:
        return f"{said}: try workers={needed}"
    more = f"workers={available} and " if workers < available else ""
    return (
        f"{said}: {needed} reading processes would keep up, and there are {available} processors; "
        f"try {more}images stored at the size that they are trained at"
    )
