"""What can be known to fail before the first step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lookwider.data.sample import Sample, SegmentationDataset
from lookwider.errors import ConfigError
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter
from lookwider.training.config import TrainConfig

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def check_run(
    config: TrainConfig,
    train: SegmentationDataset,
    val: SegmentationDataset | None,
    model: Segmenter,
    processes: int = 1,
) -> None:
    """Check that data, model and settings fit, by reading the first sample of each split.

    Raises:
        ConfigError: a split is empty, splits or the model differ in classes or bands, colour
            jitter is asked of other than 8-bit RGB, or batch normalisation would see one value.
        DataError: the first sample cannot be read.
    """
    for name, dataset in ((config.split, train), (config.val_split, val)):
        if dataset is not None and len(dataset) == 0:
            raise ConfigError(f"the split {name!r} of {config.data} has no sample")
    if val is not None and val.classes.names != train.classes.names:
        raise ConfigError(
            f"the splits {config.split!r} and {config.val_split!r} have other classes: "
            f"{len(train.classes)} and {len(val.classes)}"
        )
    if model.num_classes != len(train.classes):
        raise ConfigError(
            f"the model tells {model.num_classes} classes apart, the data has {len(train.classes)}"
        )
    sample = train[0]
    if sample.label is None:
        raise ConfigError(f"{sample.name!r} of split {config.split!r} has no label to train on")
    check_crop(config, sample)
    # norms see the images of all processes, of which there are several
    if processes == 1:
        check_batch_norm(config, sample, model)


def check_crop(config: TrainConfig, sample: Sample) -> None:
    """Raise where crops would be mostly fill, however the images are scaled."""
    if config.crop_size is None:
        return
    height, width = config.resize or sample.image.shape[:2]
    largest = config.scale[1] if config.scale is not None else 1.0
    crop_height, crop_width = config.crop_size
    if crop_height > 2 * height * largest or crop_width > 2 * width * largest:
        raise ConfigError(
            f"crop_size={crop_height},{crop_width} is more than twice the images "
            f"({sample.name!r} is {height} x {width}, scaled by at most {largest:g}); "
            "take a smaller crop_size or resize=H,W"
        )


def check_batch_norm(config: TrainConfig, sample: Sample, model: Segmenter) -> None:
    """Raise where batch normalisation would get a single value per channel in training.

    Only a batch of one image can come to that; it is tried in evaluation mode, which
    leaves the running statistics as they are.
    """
    norms: dict[nn.Module, str] = {
        module: name
        for name, module in model.named_modules()
        if isinstance(module, BATCH_NORMS)
        and not (config.freeze_trunk and name.startswith("backbone."))
    }
    if config.batch_size > 1 or not norms:
        return
    size = config.crop_size or config.resize or sample.image.shape[:2]
    lone: list[str] = []

    def look(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        values = inputs[0]
        if isinstance(values, Tensor) and values.numel() == values.shape[1]:
            lone.append(norms[module])

    hooks = [module.register_forward_pre_hook(look) for module in norms]
    try:
        with evaluating(model), torch.no_grad():
            model.scores(torch.zeros(1, model.preprocessing.in_channels, *size))
    finally:
        for hook in hooks:
            hook.remove()
    if lone:
        raise ConfigError(
            f"batch normalisation of {lone[0]} would see one value per channel: one image of "
            f"{size[0]} x {size[1]} is 1 x 1 there; set batch_size=2 or more, {other_way(lone[0])}"
        )


def other_way(norm: str) -> str:
    """Return what else helps: averages of the whole picture are 1 x 1 whatever its size.

    Example:
        >>> other_way("context.branches.0.norm")
        'or norm=group'
    """
    if norm.startswith("context."):
        return "or norm=group"
    return "or a larger crop_size" + (", or norm=group" if norm.startswith("heads.") else "")
