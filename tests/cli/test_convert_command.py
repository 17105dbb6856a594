"""``lookwider convert``: what it prints, JSON, and training that begins from what it wrote."""

from __future__ import annotations

import json
import shlex

import pytest
import torch
from tests.released import convolution_blob
from tests.training import tiny
from tests.weights.caffe_writer import write_caffemodel
from tests.weights.convert.layer_lists import parameter_layers
from tests.weights.convert.test_conversion import PARSENET, check_probes, write
from tests.weights.convert.test_nets import TRUNKS
from typer.testing import CliRunner

from lookwider.cli import app
from lookwider.cli.convert import next_commands
from lookwider.cli.settings import parse_settings
from lookwider.errors import CheckpointError, ConfigError
from lookwider.models import create_model, initialise_from
from lookwider.training.recipes import configure
from lookwider.weights import load
from lookwider.weights.convert import NETS, Conversion
from lookwider.weights.description import describe


def call(*arguments):
    return CliRunner().invoke(app, [str(word) for word in arguments])


@pytest.fixture(scope="module")
def parsenet(facts, tmp_path_factory):
    return write(facts, PARSENET, tmp_path_factory.mktemp("parsenet") / "net.caffemodel")


def test_what_is_printed(parsenet, tmp_path, facts):
    folder = tmp_path / "a b"
    result = call("convert", parsenet, "--out", folder)
    assert result.exit_code == 0, result.output
    quoted = shlex.quote(str(folder))
    assert result.stdout.splitlines() == [
        "recognised: parsenet-voc2012ext: 21 classes (ParseNet's Caffe release)",
        "20,534,399 parameters",
        f"written: {folder}",
        f"next: lookwider predict {quoted} photos --out predictions",
        f"  or: lookwider evaluate {quoted} data=PATH",
        "  or: lookwider train parsenet data=PATH backbone=vgg16_largefov "
        f"init_from={quoted} out=runs/a",
    ]
    source = describe(folder).protocol["converted"]
    assert source["file"] == "net.caffemodel"
    assert source["net"] == "parsenet-voc2012ext"
    assert len(source["sha256"]) == 64
    check_probes(load(folder), facts("forward_probes")["nets"][PARSENET])
    verified = call("verify", folder)
    assert verified.exit_code == 0
    assert verified.stdout.splitlines()[-1] == "good"


def test_json(parsenet, tmp_path):
    result = call("convert", parsenet, "--out", tmp_path / "a", "--json")
    content = json.loads(result.stdout)
    assert content["net"] == "parsenet-voc2012ext"
    assert content["parameters"] == 20_534_399
    assert content["classes"][15] == "person"
    assert content["trunk_only"] is False
    assert len(content["next"]) == 3


def test_mistakes(parsenet, tmp_path):
    result = call("convert", parsenet, "--out", tmp_path / "a", "--net", "voc-fcn8s")
    assert isinstance(result.exception, CheckpointError)
    assert "does not fit --net voc-fcn8s" in str(result.exception)
    result = call("convert", parsenet, "--out", tmp_path / "a", "--net", "voc-fcn")
    assert isinstance(result.exception, ConfigError)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("net", NETS.values(), ids=lambda net: net.name)
def test_the_training_command_is_one_that_builds_the_same_network(net, tmp_path):
    architecture = {**net.layout.architecture, "num_classes": 3, "extra_classes": {}}
    result = Conversion(tmp_path / "file", tmp_path / "a b", net, architecture, 0)
    words = shlex.split(next_commands(result)[-1])
    assert words[:2] == ["lookwider", "train"]
    config = configure(words[2], parse_settings(words[3:]))
    assert config.model == architecture["name"]
    assert config.backbone == architecture["backbone"]
    assert config.init_from == tmp_path / "a b"
    given = {k: v for k, v in architecture.items() if k in config.model_options}
    assert given.items() <= {k: _plain(v) for k, v in config.model_options.items()}.items()
    assert {"name", "backbone", "num_classes", "extra_classes", *given} >= architecture.keys() - {
        "aux"
    }


def _plain(value):
    return list(value) if isinstance(value, (list, tuple)) else value


def classifier(facts, net):
    """A classifier as Caffe of 2014 stores it: linear layers, and types as numbers."""
    source, fc6 = TRUNKS[net]
    stream = 0
    for name, _, shapes in parameter_layers(facts(f"layers_{source}")["layers"]):
        if not name.startswith(("conv", "fc")) or "norm" in name:
            continue
        arrays = []
        for shape in shapes:
            stream += 1
            arrays.append(convolution_blob(shape, stream).numpy())
        kind = "Convolution"
        if name.startswith("fc") and len(fc6) == 2:
            kind, arrays[0] = "InnerProduct", arrays[0].reshape(arrays[0].shape[0], -1)
        yield name, kind, arrays
    yield "fc8", "InnerProduct", [torch.ones(10, fc6[0]).numpy(), torch.ones(10).numpy()]


@pytest.mark.parametrize(
    "net",
    ["vgg16-largefov-imagenet", pytest.param("caffenet-imagenet", marks=pytest.mark.slow)],
)
def test_training_begins_from_a_trunk_with_any_number_of_classes(facts, tmp_path, net):
    file = write_caffemodel(
        tmp_path / "net", "net", classifier(facts, net), v1=True, legacy_shape=True
    )
    result = call("convert", file, "--out", tmp_path / "trunk")
    assert result.exception is None, result.exception
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"recognised: {net} (the ImageNet classifier")
    assert "a trunk to begin training from: its scores are not trained" in lines
    words = shlex.split(lines[-1].removeprefix("next: lookwider "))
    data = tiny.make_data(tmp_path / "data", count=2)
    words = [word for word in words if not word.startswith(("data=", "out="))]
    few = ["crop_size=33,33", "batch_size=1", "base_lr=1e-20", "val_split=none", "workers=0"]
    result = call(*words, f"data={data}", f"out={tmp_path / 'run'}", "steps=1", *few)
    assert result.exception is None, result.exception
    assert "as initialised: heads.main." in result.stderr
    trunk, model = load(tmp_path / "trunk"), load(tmp_path / "run")
    assert model.num_classes == tiny.CLASSES
    assert model.preprocessing == trunk.preprocessing == NETS[net].preprocessing
    expected = trunk.backbone.state_dict()
    assert all(torch.equal(expected[n], t) for n, t in model.backbone.state_dict().items())


@pytest.mark.slow
def test_vgg16_becomes_fcns_trunk(facts, tmp_path):
    """Linear layers of the classifier act as the release's convolutions."""
    file = write_caffemodel(tmp_path / "net", "vgg16", classifier(facts, "vgg16-imagenet"), v1=True)
    assert "recognised: vgg16-imagenet" in call("convert", file, "--out", tmp_path / "a").stdout
    file.unlink()
    trunk = load(tmp_path / "a")
    (tmp_path / "a" / "model.safetensors").unlink()
    with torch.device("meta"):
        model = create_model("fcn32s", num_classes=21, style="released", upsampling="fixed")
    model.to_empty(device="cpu").eval()
    score = model.heads["main"].score_fr
    assert initialise_from(model, trunk) == [
        "heads.main.score_fr.bias",
        "heads.main.score_fr.weight",
    ]
    with torch.no_grad():
        score.weight.copy_(convolution_blob((21, 4096, 1, 1), 31))
        score.bias.copy_(convolution_blob((21,), 32))
    check_probes(model, facts("forward_probes")["nets"]["voc-fcn32s"])
