"""The complete, validated and frozen description of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from lookwider.errors import ConfigError, unknown_name

Option = bool | int | float | str | None | tuple["Option", ...]
"""A model's keyword value, as JSON holds it."""


def _split_pair(value: object) -> object:
    """Read "96,128", "96x128" or "96" (a square) as two numbers; the rest is pydantic's."""
    if isinstance(value, str):
        parts = value.strip("()[] ").replace("x", ",").split(",")
        return tuple(parts * 2 if len(parts) == 1 else parts)
    return value


def _none_word(value: object) -> object:
    return None if isinstance(value, str) and value.lower() in {"none", "null", "off"} else value


Optionally = BeforeValidator(_none_word)
"""Lets "none" on the command line mean None."""

Side = Annotated[int, Field(gt=0)]
Size = Annotated[tuple[Side, Side], BeforeValidator(_split_pair)]
Factor = Annotated[float, Field(gt=0)]
Range = Annotated[tuple[Factor, Factor], BeforeValidator(_split_pair)]
Probability = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]


class TrainConfig(BaseModel):
    """Everything a run depends on. Saved whole as ``config.json``; equal configs, equal runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    recipe: str = Field(description="name of the recipe this began as")

    # the model
    model: str = Field(description="fcn32s, fcn16s, fcn8s, fcn8s_atonce, parsenet or pspnet")
    backbone: str = Field(description="alexnet, vgg16, googlenet, resnet50_psp or any timm model")
    pretrained: bool = Field(default=False, description="begin from the trunk's ImageNet weights")
    model_options: dict[str, Any] = Field(
        default_factory=dict, description="further keywords of the model, given flat"
    )
    freeze_trunk: bool = Field(
        default=False, description="keep the trunk's weights and batch statistics as they begin"
    )
    init_from: Annotated[Path | None, Optionally] = Field(
        default=None, description="run or checkpoint whose equally named tensors are copied first"
    )

    # the data
    data: str = Field(default="scenes", description='data set path, "scenes" or "hf:..."')
    layout: str = Field(default="auto", description="layout of the data set on disk")
    split: str = Field(default="train", description="split to train on")
    val_split: Annotated[str | None, Optionally] = Field(
        default="val", description="split to validate on; none for no validation"
    )

    # transforms, in this order
    resize: Annotated[Size | None, Optionally] = Field(
        default=None, description="height,width of every image, validation too"
    )
    scale: Annotated[Range | None, Optionally] = Field(
        default=None, description="range of random resizing, e.g. 0.5,2"
    )
    rotate: float = Field(default=0.0, ge=0, le=180, description="rotate by up to so many degrees")
    blur: Probability = Field(default=0.0, description="probability of a Gaussian blur")
    colour: float = Field(
        default=0.0, ge=0, le=1, description="strength of colour jitter (8-bit RGB)"
    )
    flip: Probability = Field(default=0.0, description="probability of mirroring")
    shift: int = Field(default=0, ge=0, description="random translation up to so many pixels")
    crop_size: Annotated[Size | None, Optionally] = Field(
        default=None, description="height,width of the random crop"
    )

    # how long
    steps: Annotated[PositiveInt | None, Optionally] = Field(
        default=None, description="optimiser steps; give this or epochs"
    )
    epochs: Annotated[Factor | None, Optionally] = Field(
        default=None, description="passes over the training split; give this or steps"
    )
    batch_size: PositiveInt = Field(
        default=1, description="images of a forward pass, of all devices"
    )
    accumulate: PositiveInt = Field(default=1, description="forward passes of a step")

    # the optimiser
    optimizer: Literal["sgd", "adamw"] = "sgd"
    base_lr: Factor = Field(description="learning rate of the trunk's weights at the start")
    new_lr_factor: Factor = Field(default=1.0, description="learning rate factor of new layers")
    bias_lr_factor: Factor = Field(default=2.0, description="learning rate factor of biases")
    bias_decay: bool = Field(default=False, description="weight decay on biases too")
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    schedule: Literal["poly", "fixed"] = "poly"
    power: float = Field(default=0.9, gt=0, description="of the poly schedule")
    warmup_steps: int = Field(default=0, ge=0, description="steps of linear growth to the schedule")
    clip_grad: Annotated[Factor | None, Optionally] = Field(
        default=None, description="largest gradient norm; larger is scaled down to it"
    )
    ema: Annotated[float | None, Field(gt=0, lt=1), Optionally] = Field(
        default=None, description="decay of the averaged weights that are evaluated and kept"
    )

    # the loss
    reduction: Literal["mean", "batch"] = Field(
        default="mean",
        description='mean over pixels, or "batch": sum / images, as Caffe',
    )
    class_weights: Annotated[Literal["median_frequency"] | None, Optionally] = None
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    aux_weight: float = Field(default=0.4, ge=0, description="weight of an auxiliary head's loss")
    loss_sampling: Literal["whole", "uniform", "balanced", "hard"] = Field(
        default="whole",
        description="pixels of the loss: patches (FCN, section 4.3), or the hardest pixels",
    )
    loss_keep: float = Field(
        default=0.5, gt=0, le=1, description="share of cells, or of hard pixels, that is kept"
    )
    loss_cell: PositiveInt = Field(default=32, description="side of a cell: the coarsest stride")

    # what is kept and shown
    val_every: Annotated[PositiveInt | None, Optionally] = Field(
        default=None, description="steps between validations; a tenth of the run when not given"
    )
    val_limit: Annotated[PositiveInt | None, Optionally] = Field(
        default=None, description="validate on the first so many images only"
    )
    val_batch_size: PositiveInt = 1
    save_every: Annotated[PositiveInt | None, Optionally] = Field(
        default=None, description="steps between saved states; as val_every when not given"
    )
    log_every: PositiveInt = Field(default=20, description="steps between rows of metrics.csv")

    # the machine
    seed: int = Field(default=0, ge=0)
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        default="auto",
        description="auto: bf16-mixed on a GPU or with AMX, else 32-true",
    )
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: PositiveInt = Field(
        default=1, description="devices to train on; torchrun and SLURM decide it themselves"
    )
    channels_last: bool = Field(
        default=True, description="memory layout; the usual one where this would crash PyTorch"
    )
    checkpoint_activations: bool = Field(
        default=False,
        description="compute the trunk's maps again in the backward pass: less memory, more time",
    )
    deterministic: bool = Field(default=False, description="only deterministic kernels")
    workers: int = Field(default=1, ge=0, description="processes that read training images")
    out: Path = Field(default=Path("runs/latest"), description="folder of the run")
    resume: Annotated[bool | None, Optionally] = Field(
        default=None, description="true: continue also with changed settings; false: never continue"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        if self.scale is not None and self.scale[0] > self.scale[1]:
            raise ValueError(f"scale must be low,high, got {self.scale[0]},{self.scale[1]}")
        if self.batch_size % self.devices:
            raise ValueError(
                f"batch_size={self.batch_size} must be a multiple of devices={self.devices}"
            )
        varying = self.scale is not None and self.crop_size is None
        if varying and self.batch_size > 1:
            raise ValueError("scale makes images of many sizes: set crop_size=H,W or batch_size=1")
        return self

    def total_steps(self, samples: int) -> int:
        """Return the number of optimiser steps on a training split of so many samples."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * samples / (self.batch_size * self.accumulate)))


RESUME_FREE = frozenset(
    {"out", "resume", "workers", "accelerator", "log_every", "val_batch_size"}
    | {"checkpoint_activations", "devices"}
)
"""Settings that may change when a run is continued: the weights do not depend on them, but for
rounding where another number of devices adds up."""


def check_config(values: Mapping[str, Any]) -> TrainConfig:
    """Validate settings by name.

    Raises:
        ConfigError: a value is missing, of the wrong kind or out of range: got, expected.
    """
    unknown = sorted(set(values) - set(TrainConfig.model_fields))
    if unknown:
        raise ConfigError(unknown_name("setting", unknown[0], TrainConfig.model_fields))
    try:
        return TrainConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(explain(error)) from error


def explain(error: ValidationError) -> str:
    """Return a validation error as one line per setting: name, got, expected."""
    lines = []
    for detail in error.errors(include_url=False):
        message = detail["msg"].removeprefix("Value error, ")
        names = [str(part) for part in detail["loc"] if str(part) in TrainConfig.model_fields]
        lines.append(f"{names[0]}={detail['input']!r}: {message}" if names else message)
    return "\n".join(dict.fromkeys(lines))


def differences(one: TrainConfig, other: TrainConfig) -> dict[str, tuple[object, object]]:
    """Return the settings that differ and matter when a run is continued."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in TrainConfig.model_fields}
    return {
        name: pair for name, pair in pairs.items() if pair[0] != pair[1] and name not in RESUME_FREE
    }
