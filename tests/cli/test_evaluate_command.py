"""`lookwider evaluate` from a folder of images to files and tables."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lookwider.classes import Classes
from lookwider.cli import app
from lookwider.data import open_dataset
from lookwider.errors import CheckpointError, ConfigError, DataError
from lookwider.models import create_model
from lookwider.weights import save


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for i in range(2):
            image = random.integers(0, 256, (20, 30 + i, 3), np.uint8)
            label = random.integers(0, 2, (20, 30 + i)).astype(np.uint8)
            Image.fromarray(image).save(folder / "images" / split / f"{i}.png")
            Image.fromarray(label).save(folder / "labels" / split / f"{i}.png")
    (folder / "classes.txt").write_text("sky\nsea\n")
    return folder


@pytest.fixture
def run(data, tmp_path):
    dataset = open_dataset(data, "train")
    model = create_model("fcn32s", backbone="test_resnet", classes=dataset.classes)
    model.class_map = dataset.class_map
    save(model, tmp_path / "run" / "best", protocol={"steps": 3})
    return tmp_path / "run"


def call(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_table_files_protocol_and_the_next_command(run, data):
    result = call(run, f"data={data}")
    assert result.exit_code == 0, result.output
    assert "sky" in result.stdout
    assert "mean IoU" in result.stdout
    assert "images: whole, one scale, not flipped" in result.stdout
    assert f"next: lookwider predict {run} FILES_OR_FOLDER --out DIR" in result.stderr
    folder = run / "evaluation" / "test"
    assert {path.name for path in folder.iterdir()} == {
        "evaluation.json",
        "confusion.png",
        "worst.png",
    }
    content = json.loads((folder / "evaluation.json").read_text())
    assert content["protocol"]["training"] == {"steps": 3}
    assert content["protocol"]["split"] == "test"
    assert len(content["protocol"]["sha256"]) == 64
    assert sum(map(sum, content["confusion"])) == 20 * 30 + 20 * 31


def test_a_protocol_is_taken_and_told(run, data, tmp_path):
    settings = ("protocol=pspnet", "scales=0.5,1", "crop_size=32", "base_size=64", "flip=false")
    result = call(run, f"data={data}", f"out={tmp_path / 'o'}", "batch_size=2", *settings)
    assert result.exit_code == 0, result.output
    assert "images: windows of 32 x 32 every 22 x 22 pixels" in " ".join(result.stdout.split())
    protocol = json.loads((tmp_path / "o" / "evaluation.json").read_text())["protocol"]
    assert protocol["images"].endswith("antialiased when shrunk, not flipped")
    assert protocol["inference"]["extra"] == 1
    assert protocol["inference"]["crop_size"] == [32, 32]


def test_json_for_scripts_and_another_folder(run, data, tmp_path):
    settings = (f"data={data}", "split=train", f"out={tmp_path / 'o'}", "class_map=model")
    result = call(run / "best", *settings, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["num_classes"] == 2
    assert (tmp_path / "o" / "evaluation.json").is_file()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ([], ConfigError, "which data"),
        (["data=x", "spilt=test"], ConfigError, "unknown setting 'spilt'; did you mean 'split'"),
        (["data=x", "batch_size=none"], ConfigError, "batch_size=none: input should be a valid"),
        (["data=x", "convention=voc"], ConfigError, "convention=voc: input should be 'fcn'"),
        (["data=x", "protocol=pspent"], ConfigError, "unknown protocol 'pspent'; did you mean"),
        (["data=x", "scale=0.5"], ConfigError, "unknown setting 'scale'; did you mean 'scales'"),
        (["data=x", "scales=0.5,-1"], ConfigError, "got scales=0.5,-1, expected positive numbers"),
        (["data=scenes:count=1,size=32x32"], DataError, "model has 2: sky, sea; the data has"),
    ],
)
def test_mistakes_are_named(run, settings, error, message):
    result = call(run, *settings)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    result = call(tmp_path, "data=x")
    assert isinstance(result.exception, CheckpointError)


def test_the_models_class_map_must_be_there(tmp_path):
    classes = Classes.named(["sky", "sea"])
    save(create_model("fcn32s", backbone="test_resnet", classes=classes), tmp_path / "a")
    result = call(tmp_path / "a", "data=x", "class_map=model")
    assert "was saved without a class map" in str(result.exception)
