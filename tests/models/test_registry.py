"""create_model: names, options, and building again from what was noted."""

from __future__ import annotations

import json

import pytest

from lookwider.classes import Classes
from lookwider.errors import ConfigError
from lookwider.models import MODELS, create_model, model_options


def test_unknown_names():
    with pytest.raises(ConfigError, match="unknown model 'fcn8'; did you mean 'fcn8s'"):
        create_model("fcn8")
    with pytest.raises(ConfigError, match="unknown option of fcn8s 'upsample'; did you mean 'ups"):
        create_model("fcn8s", upsample="fixed")


@pytest.mark.parametrize("name", MODELS)
def test_the_architecture_builds_the_same_model(name):
    options = {"upsampling": "learned", "zero_scores": False}
    model = create_model(
        name, backbone="resnet10t", num_classes=4, extra_classes={"geometric": 3}, **options
    )
    again = create_model(**json.loads(json.dumps(model.architecture)))
    assert {n: t.shape for n, t in again.state_dict().items()} == {
        n: t.shape for n, t in model.state_dict().items()
    }
    assert again.alignment == model.alignment


def test_classes_come_along():
    classes = Classes.named(["road", "sky"])
    model = create_model("fcn32s", backbone="resnet10t", classes=classes)
    assert model.classes == classes
    assert model.num_classes == model.architecture["num_classes"] == 2


def test_options_of_each_model():
    assert "finest_stride" in model_options("fcn")
    assert "finest_stride" not in model_options("fcn8s")
    assert "skip_scales" in model_options("fcn8s_atonce")
