from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lookwider.errors import ConfigError
from lookwider.training.config import TrainConfig, differences
from lookwider.training.recipes import RECIPES, configure


def test_every_recipe_is_valid_frozen_and_named() -> None:
    for name, builder in RECIPES.items():
        config = builder()
        assert config.recipe == name
        assert builder.__doc__
        with pytest.raises(ValidationError):
            config.base_lr = 1.0  # type: ignore[misc]


def test_a_config_comes_back_from_json() -> None:
    config = configure("fcn8s", {"scale": "0.5,2", "skip_scales": "0.01,0.0001", "ema": "0.99"})
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("recipe", "net"),
    [
        ("fcn32s_paper", "voc 32s"),
        ("fcn16s_paper", "voc 16s"),
        ("fcn8s_paper", "voc 8s"),
        ("fcn8s_atonce_paper", "voc 8s-atonce"),
    ],
)
def test_papers_settings_against_the_release(
    recipe: str, net: str, facts: Callable[[str], Any]
) -> None:
    released = facts("training_and_data")["FCN"]["solver"]
    config = RECIPES[recipe]()
    assert config.base_lr == released["base_lr"][net]
    assert "momentum 0.99" in released["VGG nets"]
    assert config.momentum == 0.99
    assert "weight_decay 0.0005, batch 1" in released["common"]
    assert (config.weight_decay, config.batch_size, config.schedule) == (5e-4, 1, "fixed")
    assert config.reduction == "batch"
    assert (config.bias_lr_factor, config.bias_decay) == (2.0, False)
    assert config.steps == (300_000 if "atonce" in net else 100_000)
    assert (config.flip, config.scale, config.crop_size) == (0.0, None, None)


def test_alexnet_settings_against_the_release(facts: Callable[[str], Any]) -> None:
    released = facts("training_and_data")["FCN"]["solver"]["voc-fcn-alexnet"]
    assert released == "momentum 0.9, iter_size 20, base_lr 1e-4, normalized loss"
    config = RECIPES["fcn32s_alexnet_paper"]()
    assert (config.momentum, config.accumulate, config.base_lr) == (0.9, 20, 1e-4)
    assert config.reduction == "mean"
    assert (config.bias_lr_factor, config.bias_decay) == (1.0, True)


def test_the_papers_recipes_fix_the_deconvolutions_as_released(facts: Callable[[str], Any]) -> None:
    layers = facts("layers_voc-fcn8s")["layers"]
    rates = [layer["lr_mult"] for layer in layers if layer["type"] == "Deconvolution"]
    assert rates == [[0.0]] * 3
    names = [name for name in RECIPES if name.startswith("fcn") and name.endswith("_paper")]
    paper = [RECIPES[name]() for name in names]
    assert len(paper) == 5
    assert all(c.model_options["upsampling"] == "fixed" for c in paper)
    assert all(c.model_options["style"] == "released" for c in paper)
    assert not RECIPES["fcn32s_alexnet_paper"]().pretrained  # there are no such weights to fetch


def test_parsenets_recipe_is_the_released_solver(facts: Callable[[str], Any]) -> None:
    solver = facts("training_and_data")["ParseNet"]["solver"]
    config = RECIPES["parsenet_paper"]()
    assert config.base_lr == solver["base_lr"]
    assert (config.schedule, config.power) == (solver["lr_policy"], solver["power"])
    assert (config.steps, config.momentum) == (solver["max_iter"], solver["momentum"])
    assert config.weight_decay == solver["weight_decay"]
    assert (config.batch_size, config.accumulate) == (solver["batch"], solver["iter_size"])
    assert config.reduction == "batch"
    layers = facts("layers_parsenet_VGG_VOC2012ext_context60")["layers"]
    rates = {layer["name"]: layer["lr_mult"] for layer in layers if "lr_mult" in layer}
    assert rates["fc7_norm_score21"] == [
        config.new_lr_factor,
        config.new_lr_factor * config.bias_lr_factor,
    ]
    assert rates["upscore21"] == rates["conv1_1"] == [1, config.bias_lr_factor]


@pytest.mark.parametrize(
    ("recipe", "data"), [("ade20k", "ADE20K"), ("voc", "VOC"), ("cityscapes", "Cityscapes")]
)
def test_pspnets_recipes_are_the_papers(
    recipe: str, data: str, facts: Callable[[str], Any]
) -> None:
    paper = facts("training_and_data")["PSPNet"]["paper"]
    config = RECIPES[f"pspnet_{recipe}_paper"]()
    assert config.steps == paper["iterations"][data]
    assert config.base_lr == paper["base_lr"]
    assert (config.power, config.momentum) == (paper["power"], paper["momentum"])
    assert (config.batch_size, config.weight_decay) == (paper["batch"], paper["weight_decay"])
    assert config.aux_weight == paper["aux_weight"]
    side = paper["crop"]["Cityscapes" if data == "Cityscapes" else "ADE20K, VOC"]
    assert config.crop_size == (side, side)
    assert (config.rotate > 0) == (config.blur > 0) == (data != "Cityscapes")
    assert (config.scale, config.flip) == ((0.5, 2.0), 0.5)
    layers = facts("layers_pspnet50_ADE20K_473")["layers"]
    (score,) = [layer for layer in layers if layer["name"] == "conv6"]
    factor = config.new_lr_factor
    assert score["lr_mult"] == [factor, factor * config.bias_lr_factor]
    assert (score["decay_mult"][1] == 1) == config.bias_decay


@pytest.mark.parametrize(
    ("recipe", "name", "text", "value"),
    [
        ("pspnet", "bins", "1,2", [1, 2]),
        ("pspnet", "bins", "(3,)", [3]),
        ("pspnet", "bins", "3", [3]),
        ("pspnet", "bins", "none", []),
        ("pspnet", "bins", "", []),
        ("parsenet", "layers", "layer4", ["layer4"]),
        ("parsenet", "context_layers", "none", []),
        ("pspnet", "grid_alignment", "none", None),
        ("pspnet", "reduce", "false", False),
    ],
)
def test_text_of_the_models_switches(recipe: str, name: str, text: str, value: Any) -> None:
    assert configure(recipe, {name: text}).model_options[name] == value


def test_a_switch_of_the_wrong_kind() -> None:
    with pytest.raises(ConfigError, match="bins='a': Input should be a valid integer"):
        configure("pspnet", {"bins": "a"})


def test_text_values_are_read_by_type() -> None:
    config = configure(
        "fcn8s",
        {
            "steps": "60",
            "crop_size": "96x128",
            "scale": "0.75,1.5",
            "flip": "0",
            "clip_grad": "none",
            "pretrained": "true",
            "out": "runs/a",
            "upsampling": "learned",
            "zero_scores": "false",
            "resize": "64",
        },
    )
    assert (config.steps, config.crop_size, config.scale) == (60, (96, 128), (0.75, 1.5))
    assert (config.flip, config.clip_grad, config.pretrained) == (0.0, None, True)
    assert (config.out, config.resize) == (Path("runs/a"), (64, 64))
    assert config.model_options == {"upsampling": "learned", "zero_scores": False}


def test_epochs_take_the_place_of_steps() -> None:
    config = configure("fcn32s", {"epochs": "2", "batch_size": 4, "accumulate": 2})
    assert config.steps is None
    assert config.total_steps(100) == 25
    with pytest.raises(ConfigError, match="give either steps or epochs"):
        configure("fcn32s", {"epochs": "2", "steps": "3"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bakbone": "vgg16"}, "unknown setting 'bakbone'; did you mean 'backbone'?"),
        ({"upsamling": "learned"}, "unknown setting 'upsamling'; did you mean 'upsampling'?"),
        ({"steps": "many"}, "steps='many': Input should be a valid integer"),
        ({"steps": "0"}, "steps='0': Input should be greater than 0"),
        ({"optimizer": "adam"}, "optimizer='adam': Input should be 'sgd' or 'adamw'"),
        ({"crop_size": "a,b"}, "crop_size='a'"),
        ({"crop_size": "1,2,3"}, "crop_size="),
        ({"upsampling": "magic"}, "upsampling='magic': Input should be"),
        ({"scale": "2,0.5"}, "scale must be low,high, got 2.0,0.5"),
        ({"crop_size": "none"}, "scale makes images of many sizes: set crop_size=H,W"),
        ({"model": "fcn8"}, "unknown model 'fcn8'; did you mean 'fcn8s'?"),
        ({"base_lr": "nan"}, "base_lr='nan'"),
        ({"batch_size": "3", "devices": "2"}, "must be a multiple of devices=2"),
    ],
)
def test_wrong_settings_say_what_is_expected(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configure("fcn8s", settings)
    assert message in str(caught.value)


def test_unknown_recipe() -> None:
    with pytest.raises(ConfigError, match="unknown recipe 'fcn8z'; did you mean 'fcn8s'"):
        configure("fcn8z")


def test_differences_leave_out_what_weights_do_not_depend_on() -> None:
    one = configure("fcn32s", {"workers": 0})
    two = configure("fcn32s", {"workers": 2, "base_lr": 0.5, "log_every": 3})
    assert differences(one, two) == {"base_lr": (0.02, 0.5)}
