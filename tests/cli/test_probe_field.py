"""`lookwider probe field` from an image to figures and pictures."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lookwider.classes import Classes
from lookwider.cli import app
from lookwider.errors import ConfigError, DataError
from lookwider.models import create_model
from lookwider.weights import save


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    classes = Classes(("sky", "sea"), ((0, 0, 255), (0, 255, 255)))
    save(create_model("fcn32s", backbone="test_resnet", classes=classes), folder / "a" / "best")
    return folder / "a"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def call(*arguments):
    return CliRunner().invoke(app, ["probe", "field", *map(str, arguments)])


QUICK = ("--window", "20", "--stride", "10", "--draws", "1")


def test_table_files_and_the_next_command(run, images, tmp_path):
    result = call(run, images / "0.png", "--at", "12,30", *QUICK, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    for word in ("theoretical", "empirical > 0.1", "gradient > 0.0455", "pixel 12,30"):
        assert word in result.stdout
    assert "inside the image of 40 x 50" in result.stdout
    assert f"next: lookwider probe scales {run} IMAGE" in result.stderr
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"fields.json", "fields.png", "0-empirical.npz", "0-gradient.npz"}
    figures = json.loads((tmp_path / "fields.json").read_text())
    assert figures["layer"] == "scores"
    assert figures["theoretical"][0]["at"] == [12, 30]
    assert figures["measured"]["empirical"]["fields"][0]["settings"]["window"] == 20


def test_a_context_is_what_to_probe_next(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(
        create_model("parsenet", backbone="test_resnet", output_stride=32, num_classes=2),
        tmp_path / "wide",
    )
    (tmp_path / "own_net.py").write_text("from torch.nn import Identity as net\n")
    for model, layer in (("wide", ""), ("own_net:net", " --layer LAYER")):
        result = call(model, images / "0.png", "--method", "gradient")
        assert result.exit_code == 0, result.output
        expected = f"next: lookwider probe context {model} IMAGE --swap OTHER_IMAGE{layer}"
        assert expected in result.stderr.replace("\n", " ")


def test_a_folder_is_averaged_and_results_go_beside_the_checkpoint(run, images):
    result = call(run, images, "--method", "gradient", "--units", "sea", "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["images"] == ["0", "1"]
    assert figures["theoretical"][0]["at"] == [20, 25]
    assert figures["measured"]["gradient"]["fields"][0]["settings"]["units"] == [1]
    folder = run / "probes" / "field" / "scores"
    assert (folder / "fields.png").exists()
    assert (folder / "001-1-gradient.npz").exists()


def test_scenes_and_data_sets_are_images_too(run, tmp_path):
    result = call(run, "scene:3,kind=road,size=32x48", "--method", "gradient", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "scene-3-as-road-gradient.npz").exists()
    data = ("data=scenes:size=32x48,count=9", "limit=2", "--method", "gradient")
    result = call(run, *data, "--out", tmp_path / "data")
    assert result.exit_code == 0, result.output
    assert "±" in result.stdout


def test_each_unit_alone_and_eight_images_of_a_data_set(run, tmp_path):
    data = ("data=scenes:size=32x48,count=9", "--out", tmp_path, "--window", 16, "--stride", 16)
    result = call(run, *data, "--draws", 1, "--units", 2, "--method", "empirical")
    assert result.exit_code == 0, result.output
    assert "each unit alone" in result.stdout
    assert len(json.loads((tmp_path / "fields.json").read_text())["images"]) == 8


def test_a_place_outside_of_one_image_names_it(run, images, tmp_path):
    small = tmp_path / "small.png"
    Image.new("RGB", (34, 34)).save(small)
    result = call(run, images / "0.png", small, "--at", "36,3", "--method", "theoretical")
    assert isinstance(result.exception, ConfigError)
    assert "small: row 36, column 3 lies outside the image of 34x34" in str(result.exception)
    assert call(run, small, "--seed", "-1").exit_code == 2


def test_theoretical_fields_need_no_image_and_no_weights(tmp_path):
    given = ("fcn8s", "--size", "500x500", "--layer", "fc7", "--out", tmp_path)
    result = call(*given)
    assert result.exit_code == 0, result.output
    assert "404 x 404 pixels, stride 32 x 32" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["fields.json"]
    assert "next: lookwider probe field fcn8s IMAGE --layer backbone.fc7" in result.stderr


def test_layers_are_listed(run):
    result = call(run, "--size", "64x64", "--list")
    assert result.exit_code == 0, result.output
    assert "heads.main.score_fr" in result.stdout
    assert "scores" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), ConfigError, "got no image and no size, expected IMAGE, or --size"),
        (("--size", "64"), ConfigError, "got --size '64', expected IMAGE, or --size HEIGHTxWIDTH"),
        (("--size", "64x64", "--at", "3"), ConfigError, "got --at '3', expected ROW,COL"),
        (("--size", "64x64", "--at", "64,0"), ConfigError, "row 64, column 0 lies outside"),
        (("--size", "64x64", "--layer", "score"), ConfigError, "closest are scores, "),
        (("--size", "64x64", "--method", "gradient"), ConfigError, "needs an image"),
        (("--size", "64x64", "--method", "x"), ConfigError, "unknown method 'x'"),
        (("no.png",), DataError, "no such file or folder"),
        (("a.png", "data=scenes"), ConfigError, "got images and settings"),
        (("--size", "64x64", "--units", "²"), ConfigError, "unknown class '²'"),
        (("--size", "64x64", "--units", "see"), ConfigError, "unknown class 'see'; did you mean"),
        (
            ("--size", "64x64", "--units", "x", "--layer", "score_fr"),
            ConfigError,
            "got unit 'x', expected numbers of channels",
        ),
    ],
)
def test_mistakes(run, arguments, error, message):
    result = call(run, *arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
