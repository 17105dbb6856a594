"""create_model: names, options, and building again from what was noted."""

from __future__ import annotations

import json

import pytest
import torch

from lookwider.classes import Classes
from lookwider.errors import ConfigError
from lookwider.models import MODELS, create_model, model_options, option_types


def test_unknown_names():
    with pytest.raises(ConfigError, match="unknown model 'fcn8'; did you mean 'fcn8s'"):
        create_model("fcn8")
    with pytest.raises(ConfigError, match="unknown option of fcn8s 'upsample'; did you mean 'ups"):
        create_model("fcn8s", upsample="fixed")


OPTIONS = {
    "parsenet": {"upsampling": "fixed", "context_layers": ("layer2", "layer4")},
    "pspnet": {"bins": (2, 1), "pooling": "max", "norm": "group"},
}


@pytest.mark.parametrize("name", MODELS)
def test_the_architecture_builds_the_same_model(name):
    options = OPTIONS.get(name, {"upsampling": "learned", "zero_scores": False})
    model = create_model(
        name, backbone="resnet18", num_classes=4, extra_classes={"geometric": 3}, **options
    )
    again = create_model(**json.loads(json.dumps(model.architecture)))
    assert {n: t.shape for n, t in again.state_dict().items()} == {
        n: t.shape for n, t in model.state_dict().items()
    }
    assert again.alignment == model.alignment


def test_the_papers_trunk_when_none_is_given():
    for name, trunk in {
        "fcn8s": "vgg16",
        "parsenet": "vgg16_largefov",
        "pspnet": "resnet50_psp",
    }.items():
        with torch.device("meta"):
            assert create_model(name).architecture["backbone"] == trunk


def test_the_types_of_the_options():
    assert set(option_types("pspnet")) == set(model_options("pspnet"))
    assert option_types("parsenet")["scale"] is float


def test_classes_come_along():
    classes = Classes.named(["road", "sky"])
    model = create_model("fcn32s", backbone="resnet10t", classes=classes)
    assert model.classes == classes
    assert model.num_classes == model.architecture["num_classes"] == 2


def test_options_of_each_model():
    assert "finest_stride" in model_options("fcn")
    assert "finest_stride" not in model_options("fcn8s")
    assert "skip_scales" in model_options("fcn8s_atonce")
