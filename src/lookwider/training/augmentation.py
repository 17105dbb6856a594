"""The transforms that a config asks for."""

from __future__ import annotations

from lookwider.data import transforms
from lookwider.data.transforms import Compose, SampleTransform
from lookwider.preprocessing import Preprocessing
from lookwider.training.config import TrainConfig


def training_transform(config: TrainConfig, preprocessing: Preprocessing) -> Compose:
    """Return the random transforms of training, in the order of the config.

    The released FCN solvers use none, the paper tried mirroring and ``shift=32`` (section 4.3);
    PSPNet mirrors, scales by 0.5 to 2, rotates by up to 10 degrees, blurs and crops (section 5.1).
    """
    fill = preprocessing.fill_value()
    steps: list[SampleTransform] = []
    if config.resize is not None:
        steps.append(transforms.Resize(config.resize))
    if config.scale is not None:
        steps.append(transforms.RandomScale(*config.scale))
    at_once = config.rotate and config.crop_size is not None and not config.shift
    if at_once and config.crop_size is not None:
        steps.append(transforms.RandomRotatedCrop(config.rotate, config.crop_size, fill))
    elif config.rotate:
        steps.append(transforms.RandomRotation(config.rotate, fill))
    if config.shift:
        steps.append(transforms.RandomShift(config.shift, fill))
    if config.crop_size is not None and not at_once:
        steps.append(transforms.RandomCrop(config.crop_size, fill))
    if config.flip:
        steps.append(transforms.RandomFlip(config.flip))
    if config.blur:
        steps.append(transforms.RandomBlur(config.blur))
    if config.colour:
        steps.append(transforms.RandomColour(config.colour))
    return Compose(tuple(steps))


def validation_transform(config: TrainConfig) -> Compose:
    """Return the transform of validation: the same resizing, nothing random."""
    return Compose(() if config.resize is None else (transforms.Resize(config.resize),))
