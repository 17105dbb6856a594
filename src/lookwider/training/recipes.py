"""Named settings: functions that return a validated, frozen `TrainConfig`.

The ``_paper`` recipes are the settings of the papers and their released solvers; the others are
what works without ImageNet weights and in bfloat16, with batches of crops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from lookwider.errors import ConfigError, unknown_name
from lookwider.models import MODELS, option_types
from lookwider.training.config import TrainConfig, check_config


def _modern(model: str) -> TrainConfig:
    return TrainConfig(
        recipe=model,
        model=model,
        backbone="resnet18",
        scale=(0.5, 2.0),
        flip=0.5,
        colour=0.3,
        crop_size=(320, 320),
        batch_size=8,
        steps=4000,
        base_lr=0.02,
        new_lr_factor=1.0,
        weight_decay=1e-4,
        warmup_steps=100,
        clip_grad=10.0,
    )


def fcn32s() -> TrainConfig:
    """FCN-32s with SGD, a poly schedule and crops of scaled, mirrored images."""
    return _modern("fcn32s")


def fcn16s() -> TrainConfig:
    """FCN-16s as `fcn32s`; ``init_from=RUN`` continues a 32s run stage by stage."""
    return _modern("fcn16s")


def fcn8s() -> TrainConfig:
    """FCN-8s as `fcn32s`; ``init_from=RUN`` continues a 16s run stage by stage."""
    return _modern("fcn8s")


def fcn8s_atonce() -> TrainConfig:
    """FCN-8s with all skips from the start and their scores scaled, as `fcn32s`."""
    return _modern("fcn8s_atonce")


def parsenet() -> TrainConfig:
    """ParseNet on a dilated trunk, with SGD, a poly schedule and crops as `fcn32s`."""
    return _modern("parsenet").model_copy(update={"new_lr_factor": 10.0, "base_lr": 0.01})


def pspnet() -> TrainConfig:
    """PSPNet on a dilated trunk, with SGD, a poly schedule and crops as `fcn32s`."""
    return _modern("pspnet").model_copy(update={"base_lr": 0.01})


def _paper(model: str, base_lr: float, steps: int) -> TrainConfig:
    """The released solver of the VGG nets: whole images, one by one, summed loss."""
    return TrainConfig(
        recipe=f"{model}_paper",
        model=model,
        backbone="vgg16",
        pretrained=True,
        model_options={"style": "released", "upsampling": "fixed"},
        batch_size=1,
        steps=steps,
        base_lr=base_lr,
        momentum=0.99,
        weight_decay=5e-4,
        schedule="fixed",
        reduction="batch",
        val_every=4000,
    )


def fcn32s_paper() -> TrainConfig:
    """FCN-32s on VGG16 as released: momentum 0.99, fixed 1e-10 on the summed loss, 100k steps."""
    return _paper("fcn32s", 1e-10, 100_000)


def fcn16s_paper() -> TrainConfig:
    """FCN-16s as released: from a 32s run (``init_from=RUN``), fixed 1e-12."""
    return _paper("fcn16s", 1e-12, 100_000)


def fcn8s_paper() -> TrainConfig:
    """FCN-8s as released: from a 16s run (``init_from=RUN``), fixed 1e-14."""
    return _paper("fcn8s", 1e-14, 100_000)


def fcn8s_atonce_paper() -> TrainConfig:
    """FCN-8s at once as released: from ImageNet weights, fixed 1e-10, 300k steps."""
    return _paper("fcn8s_atonce", 1e-10, 300_000)


def fcn32s_alexnet_paper() -> TrainConfig:
    """FCN-AlexNet as released: momentum 0.9, 20 images a step, 1e-4 on the mean loss.

    Its convolutions have no own multipliers, so biases learn and decay as weights do. The release
    began from BVLC's ImageNet weights; torchvision has none of this network, so this begins from
    random ones, or from a model of ours by ``init_from=``.
    """
    return TrainConfig(
        recipe="fcn32s_alexnet_paper",
        model="fcn32s",
        backbone="alexnet",
        model_options={"style": "released", "upsampling": "fixed"},
        batch_size=1,
        accumulate=20,
        steps=100_000,
        base_lr=1e-4,
        bias_lr_factor=1.0,
        bias_decay=True,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="fixed",
        reduction="mean",
        val_every=4000,
    )


def parsenet_paper() -> TrainConfig:
    """ParseNet as released: VGG16 LargeFOV, poly from 1e-8 on the summed loss, 8 images a step.

    Classifiers learn 10 times faster, biases twice as fast. The release began from
    VGG_ILSVRC_16_layers_fc_reduced, which `lookwider convert` reads for ``init_from=``; without
    it, torchvision's VGG16 is subsampled alike.
    """
    return TrainConfig(
        recipe="parsenet_paper",
        model="parsenet",
        backbone="vgg16_largefov",
        pretrained=True,
        batch_size=1,
        accumulate=8,
        steps=20_000,
        base_lr=1e-8,
        new_lr_factor=10.0,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="poly",
        reduction="batch",
        val_every=2000,
    )


def _pspnet_paper(
    data: str, backbone: str, steps: int, side: int, stride_on: str = "3x3"
) -> TrainConfig:
    """PSPNet, section 5.1: batch 16, poly from 0.01; rates and order of bins as released."""
    turned = data != "cityscapes"
    return TrainConfig(
        recipe=f"pspnet_{data}_paper",
        model="pspnet",
        backbone=backbone,
        model_options={"bins": [6, 3, 2, 1], "stride_on": stride_on},
        scale=(0.5, 2.0),
        rotate=10.0 if turned else 0.0,
        blur=0.5 if turned else 0.0,
        flip=0.5,
        crop_size=(side, side),
        batch_size=16,
        steps=steps,
        base_lr=0.01,
        new_lr_factor=10.0,
        bias_decay=True,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="poly",
        aux_weight=0.4,
        workers=4,
    )


def pspnet_ade20k_paper() -> TrainConfig:
    """PSPNet50 on ADE20K: 150k steps of 16 crops of 473, rotated by up to 10 degrees, blurred.

    The deep stem has no ImageNet weights by name: give ``init_from=`` a converted release, or
    ``backbone=resnet50 stride_on=3x3 pretrained=true`` for timm's trunk.
    """
    return _pspnet_paper("ade20k", "resnet50_psp", 150_000, 473, stride_on="1x1")


def pspnet_voc_paper() -> TrainConfig:
    """PSPNet101 on VOC 2012: 30k steps, else as `pspnet_ade20k_paper`."""
    return _pspnet_paper("voc", "resnet101_psp", 30_000, 473)


def pspnet_cityscapes_paper() -> TrainConfig:
    """PSPNet101 on Cityscapes: 90k steps of crops of 713, neither rotated nor blurred."""
    return _pspnet_paper("cityscapes", "resnet101_psp", 90_000, 713)


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    "fcn32s": fcn32s,
    "fcn16s": fcn16s,
    "fcn8s": fcn8s,
    "fcn8s_atonce": fcn8s_atonce,
    "parsenet": parsenet,
    "pspnet": pspnet,
    "fcn32s_paper": fcn32s_paper,
    "fcn16s_paper": fcn16s_paper,
    "fcn8s_paper": fcn8s_paper,
    "fcn8s_atonce_paper": fcn8s_atonce_paper,
    "fcn32s_alexnet_paper": fcn32s_alexnet_paper,
    "parsenet_paper": parsenet_paper,
    "pspnet_ade20k_paper": pspnet_ade20k_paper,
    "pspnet_voc_paper": pspnet_voc_paper,
    "pspnet_cityscapes_paper": pspnet_cityscapes_paper,
}
"""Every recipe by its name on the command line."""


def model_keywords(model: str) -> dict[str, Any]:
    """Return a model's own switches and their types; see `lookwider.models.model_options`.

    Raises:
        ConfigError: the model is not known.
    """
    if model not in MODELS:
        raise ConfigError(unknown_name("model", model, MODELS))
    return option_types(model)


def configure(recipe: str, settings: Mapping[str, Any] | None = None) -> TrainConfig:
    """Return a recipe's config with settings changed by name; values may be text.

    Settings of the model itself (``upsampling``, ``style``, ...) are given flat beside the
    others. Giving ``epochs`` takes the place of the recipe's ``steps`` and the other way round.

    Raises:
        ConfigError: an unknown recipe or setting, with the closest name; a value that does not
            fit, with what was expected.

    Example:
        >>> configure("fcn32s", {"steps": "60", "crop_size": "96,128"}).crop_size
        (96, 128)
    """
    if recipe not in RECIPES:
        raise ConfigError(unknown_name("recipe", recipe, RECIPES))
    settings = dict(settings or {})
    values: dict[str, Any] = RECIPES[recipe]().model_dump()
    if ("epochs" in settings) != ("steps" in settings):
        values["steps"] = values["epochs"] = None
    keywords = model_keywords(str(settings.get("model", values["model"])))
    options = dict(values["model_options"]) | dict(settings.pop("model_options", {}))
    for name, value in settings.items():
        if name in TrainConfig.model_fields:
            values[name] = value
        elif name in keywords:
            options[name] = _model_option(name, value, keywords[name])
        else:
            known = (set(TrainConfig.model_fields) - {"recipe", "model_options"}) | set(keywords)
            raise ConfigError(unknown_name("setting", name, known))
    values["model_options"] = options
    return check_config(values)


def _model_option(name: str, value: Any, kind: Any) -> Any:
    """Read the value of a model's switch by its type, as JSON holds it.

    Several values are separated by commas; "none" of them is the empty list.
    """
    reading = value
    if isinstance(value, str):
        empty = value.lower() in {"", "none", "()", "[]"}
        if Sequence in {get_origin(part) for part in (kind, *get_args(kind))}:
            parts = value.strip("()[] ").rstrip(",").split(",")
            reading = [] if empty else [part.strip() for part in parts]
        elif empty and type(None) in get_args(kind):
            reading = None
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        return adapter.dump_python(adapter.validate_python(reading), mode="json")
    except ValidationError as error:
        details = {detail["msg"] for detail in error.errors(include_url=False)}
        raise ConfigError(f"{name}={value!r}: {'; '.join(sorted(details))}") from error
