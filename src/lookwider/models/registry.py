"""The models by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from lookwider.classes import Classes
from lookwider.errors import ConfigError, unknown_name
from lookwider.models.fcn import fcn, fcn8s, fcn8s_atonce, fcn16s, fcn32s
from lookwider.models.parsenet import parsenet
from lookwider.models.pspnet import pspnet
from lookwider.models.segmenter import Segmenter

MODELS: dict[str, Callable[..., Segmenter]] = {
    "fcn": fcn,
    "fcn32s": fcn32s,
    "fcn16s": fcn16s,
    "fcn8s": fcn8s,
    "fcn8s_atonce": fcn8s_atonce,
    "parsenet": parsenet,
    "pspnet": pspnet,
}
"""Every model that `create_model` builds."""


def create_model(
    name: str,
    *,
    backbone: str | None = None,
    num_classes: int = 21,
    classes: Classes | None = None,
    extra_classes: Mapping[str, Classes | int] | None = None,
    in_channels: int = 3,
    pretrained: bool = False,
    **options: Any,
) -> Segmenter:
    """Build a segmentation network.

    Args:
        name: fcn32s, fcn16s, fcn8s, fcn8s_atonce, fcn with ``finest_stride=``, parsenet or
            pspnet.
        backbone: alexnet, googlenet, vgg16, vgg16_largefov, resnet50_psp (101, 152, 269), or any
            timm model; the paper's when not given.
        num_classes: classes to tell apart, when ``classes`` is not given.
        classes: their names and colours.
        extra_classes: a further head per name on the same trunk, e.g. ``{"geometric": 3}``.
        in_channels: bands of the images.
        pretrained: start the trunk from ImageNet weights.
        **options: the model's own switches, see `lookwider.models.model_options`.

    Raises:
        ConfigError: a name or option is unknown (lists the known and the closest).

    Example:
        >>> model = create_model("fcn8s", backbone="resnet18", num_classes=11)
        >>> import torch
        >>> model.eval()(torch.zeros(1, 3, 37, 50)).shape
        torch.Size([1, 11, 37, 50])
    """
    if name not in MODELS:
        raise ConfigError(unknown_name("model", name, MODELS))
    known = [*model_options(name), "backbone", "num_classes", "classes", "extra_classes"]
    for option in options:
        if option not in model_options(name):
            raise ConfigError(unknown_name(f"option of {name}", option, known))
    classes = Classes.numbered(num_classes) if classes is None else classes
    extra = {
        head: Classes.numbered(given) if isinstance(given, int) else given
        for head, given in (extra_classes or {}).items()
    }
    if backbone is None:
        backbone = str(_parameters(name)["backbone"].default)
    if reserved := {"main", "aux"} & extra.keys():
        raise ConfigError(
            f"got an extra head {min(reserved)!r}, which is a name of the model's own; choose "
            "another name"
        )
    model = MODELS[name](
        backbone=backbone,
        classes=classes,
        extra_classes=extra,
        in_channels=in_channels,
        pretrained=pretrained,
        **options,
    )
    model.architecture = {
        "name": name,
        "backbone": backbone,
        "num_classes": len(classes),
        "extra_classes": {head: len(given) for head, given in extra.items()},
        "in_channels": in_channels,
        **options,
    }
    return model


def model_options(name: str) -> list[str]:
    """Return the names of a model's own switches.

    Example:
        >>> model_options("fcn32s")
        ['style', 'upsampling', 'zero_scores']
    """
    shared = {"backbone", "classes", "extra_classes", "in_channels", "pretrained", "options"}
    given_by_name = {"finest_stride"} if name != "fcn" else set()
    if name == "fcn32s":
        given_by_name.add("skip_scales")
    return sorted(_parameters(name).keys() - shared - given_by_name)


def option_types(name: str) -> dict[str, Any]:
    """Return the annotations of a model's own switches, by name."""
    hints = get_type_hints(fcn) | get_type_hints(MODELS[name])
    return {option: hints[option] for option in model_options(name)}


def effective_options(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return every switch of a stored architecture, with the defaults of those not given.

    Example:
        >>> effective_options({"name": "pspnet", "bins": [1]})["bins"]
        (1,)
    """
    parameters = _parameters(architecture["name"])
    found = {}
    for option in model_options(architecture["name"]):
        value = architecture.get(option, parameters[option].default)
        found[option] = tuple(value) if isinstance(value, list) else value
    return found


def _parameters(name: str) -> dict[str, inspect.Parameter]:
    """Return the parameters of a model's builder; the FCNs' pass theirs on to `fcn`."""
    own = dict(inspect.signature(MODELS[name]).parameters)
    return dict(inspect.signature(fcn).parameters) | own if "options" in own else own
