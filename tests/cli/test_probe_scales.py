"""`lookwider probe scales`: from images to figures, files and the next command."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lookwider.cli.probe import app
from lookwider.cli.probing import probe_folder
from lookwider.errors import ConfigError, DataError
from lookwider.models import create_model
from lookwider.weights import save


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "a"
    model = create_model("parsenet", backbone="test_resnet", output_stride=32, num_classes=21)
    save(model, folder / "best")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for i in range(2):
        Image.fromarray(random.integers(0, 256, (32, 40, 3), np.uint8)).save(folder / f"{i}.png")
    return folder


def call(*arguments):
    return CliRunner().invoke(app, ["scales", *map(str, arguments)])


def test_table_files_and_the_next_command(run, images):
    result = call(run, images)
    assert result.exit_code == 0, result.output
    assert "average of" in result.stdout
    assert "between the maps that are fused" in result.stdout
    assert f"lookwider probe context {run} IMAGE --swap OTHER_IMAGE" in result.stderr
    folder = run / "probes" / "scales"
    assert {p.name for p in folder.iterdir()} == {"scales.json", "scales.npz", "scales.png"}
    assert json.loads((folder / "scales.json").read_text())["images"] == 2


def test_a_data_set_chosen_layers_and_json(run, tmp_path):
    settings = ("data=scenes:size=32x40", "split=val", "limit=3")
    result = call(run, *settings, "--layers", "layer1, layer2", "--json", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["images"] == 3
    outputs = [layer["layer"] for layer in content["layers"] if layer["stage"] == "output"]
    assert outputs == ["backbone.network.layer1", "backbone.network.layer2"]
    assert (tmp_path / "o" / "scales.png").is_file()


def test_a_module_of_your_own(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_net.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3))\n"
    )
    result = call("my_net:net", images / "0.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "probes" / "my_net.net" / "scales" / "scales.json").is_file()


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ([], SystemExit, ""),
        (["nowhere"], DataError, "nowhere: no such file or folder"),
        (["IMAGES", "split=val"], ConfigError, "got images and settings, or neither"),
        (["spilt=val"], ConfigError, "unknown setting 'spilt'; did you mean 'split'"),
        (["split=val"], ConfigError, "which data? give data=PATH"),
        (["data=scenes", "limit=0"], ConfigError, "limit=0: input should be greater than"),
        (["data=scenes", "class_map=model"], ConfigError, "has no class map of its own"),
        (["IMAGES", "--layers", "s9"], ConfigError, "unknown layer 's9'"),
    ],
)
def test_mistakes_are_named(run, images, words, error, message):
    result = call(run, *[images if word == "IMAGES" else word for word in words])
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


def test_results_go_beside_a_checkpoint(run):
    assert probe_folder(str(run), "scales") == run / "probes" / "scales"
    assert probe_folder(str(run / "best"), "scales") == run / "probes" / "scales"
    save(create_model("fcn32s", backbone="test_resnet", num_classes=3), run / "other")
    assert probe_folder(str(run / "other"), "field") == run / "other-probes" / "field"
    assert probe_folder("fcn8s", "field").as_posix() == "probes/fcn8s/field"
