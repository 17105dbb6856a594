"""Whether reading keeps up: images a second of one reading process, and of a training step.

    python benchmarks/loading.py --data PATH
    python benchmarks/loading.py --data PATH --recipe pspnet_ade20k_paper crop_size=473,473

The rate of reading is that of decoding, of the recipe's transforms and of making a batch, in one
process with one thread. Rotating only what is cropped is compared with rotating the whole image.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from lookwider.bench.timing import Timing
from lookwider.data import open_dataset
from lookwider.data.loading import Collate, DrawnSamples
from lookwider.data.transforms import Compose, RandomCrop, RandomRotatedCrop, RandomRotation
from lookwider.models import create_model
from lookwider.preprocessing import IMAGENET
from lookwider.training.augmentation import training_transform
from lookwider.training.config import TrainConfig
from lookwider.training.recipes import configure
from lookwider.training.sampling import batch_draws
from lookwider.training.task import SegmentationTask
from lookwider.training.throughput import loading_rate
from timing import Row, save_rows


def step_rate(config: TrainConfig, steps: int) -> float:
    """Return how many images a second the model trains with, all of them read beforehand."""
    dataset = open_dataset(config.data, config.split, layout=config.layout)
    model = create_model(
        config.model, backbone=config.backbone, classes=dataset.classes, **config.model_options
    )
    task = SegmentationTask(model.train().to(memory_format=torch.channels_last), config, steps)
    samples = DrawnSamples(dataset, training_transform(config, IMAGENET))
    draws = batch_draws(len(dataset), config.batch_size, config.seed, 0)
    batch = Collate(IMAGENET)([samples[draw] for draw in draws])
    task.loss(batch, 0).backward()
    start = time.perf_counter()
    for step in range(steps):
        task.loss(batch, step).backward()
    return steps * config.batch_size / (time.perf_counter() - start)


def one_after_the_other(transform: Compose) -> Compose:
    """Return the transform with rotation and crop as two steps."""
    steps = []
    for step in transform.transforms:
        if isinstance(step, RandomRotatedCrop):
            steps.append(RandomRotation(step.degrees, step.fill))
            steps.append(RandomCrop(step.size, step.fill))
        else:
            steps.append(step)
    return Compose(tuple(steps))


def rotations(config: TrainConfig, rounds: int) -> Row:
    """Compare the transforms of a recipe with and without rotating what is cut away."""
    dataset = open_dataset(config.data, config.split, layout=config.layout)
    at_once = training_transform(config, IMAGENET)
    forms = {"plain": one_after_the_other(at_once), "fast": at_once}
    samples = {name: DrawnSamples(dataset, transform) for name, transform in forms.items()}
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    apart = 0.0
    for number in range(rounds + 1):
        draws = batch_draws(len(dataset), 4, 0, number)
        images = {}
        for name in forms:
            start = time.perf_counter()
            images[name] = [samples[name][draw].image for draw in draws]
            if number:
                seconds[name].append(time.perf_counter() - start)
        for one, two in zip(*images.values(), strict=True):
            apart = max(apart, float(abs(one.astype(float) - two).max()))
    times = {name: Timing(tuple(values)) for name, values in seconds.items()}
    return Row(
        work=f"four images read and transformed as {config.recipe}",
        dtype="uint8",
        plain="rotated whole, then cropped",
        ratio=times["fast"].ratio(times["plain"]),
        seconds=(times["plain"].median, times["fast"].median),
        difference=apart,
    )


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="*", help="key=value")
    parser.add_argument("--data", default="scenes")
    parser.add_argument("--recipe", default="pspnet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    settings = dict(text.split("=", 1) for text in options.settings)
    config = configure(options.recipe, {**settings, "data": options.data})
    dataset = open_dataset(config.data, config.split, layout=config.layout)
    model_rate = step_rate(config, 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    reading = loading_rate(config, dataset, IMAGENET)
    rows = [rotations(config, options.rounds)] if config.rotate and config.crop_size else []
    torch.set_num_threads(threads)
    print(f"one reading process: {reading:.1f} images a second")
    print(f"{config.model} on {config.backbone}: {model_rate:.1f} images a second")
    print(f"reading takes {100 * model_rate / reading:.0f} % of one process beside the model")
    for row in rows:
        middle, least, most = row.ratio
        print(
            f"{row.work}: {row.seconds[0]:.3f} -> {row.seconds[1]:.3f} s, "
            f"{middle:.2f} ({least:.2f}-{most:.2f}) times as fast, difference {row.difference}"
        )
    if options.out:
        save_rows(rows, options.out)


if __name__ == "__main__":
    main()
