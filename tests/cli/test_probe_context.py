"""`lookwider probe context`: swaps of one image, and the reliance over a data set."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from lookwider.cli.probe import app
from lookwider.cli.probing import named_image
from lookwider.data.scenes import SCENE_CLASSES, scene
from lookwider.errors import ConfigError, DataError
from lookwider.models import create_model
from lookwider.weights import save


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runs") / "a"
    save(
        create_model("parsenet", backbone="test_resnet", output_stride=32, classes=SCENE_CLASSES),
        folder / "best",
    )
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for i in range(2):
        Image.fromarray(scene(0, i, (32, 40)).image).save(folder / f"photo {i}.png")
    return folder


def call(*arguments):
    return CliRunner().invoke(app, ["context", *map(str, arguments)])


def content_of(folder, name):
    return json.loads((folder / name).read_text())


def test_one_image_with_anothers_context(run, images):
    result = call(run, images / "photo 0.png", "--swap", images / "photo 1.png")
    assert result.exit_code == 0, result.output
    assert "the context replaced by that of photo 1" in result.stdout
    assert "% of the pixels change class" in result.stdout
    assert f"lookwider probe context {run} data=PATH limit=20" in result.stderr
    folder = run / "probes" / "context" / "photo-0"
    assert {p.name for p in folder.iterdir()} == {"swap.json", "swap.npz", "swap.png"}
    assert content_of(folder, "swap.json")["replaced_by"] == "that of photo 1"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--swap", "zeros"), "zeros"),
        (("--swap", "region:2,3"), "that of region 1,1 of 2 x 2"),
        (("--swap", "mean", "--mean-of", "IMAGES"), "the mean of 2 images"),
        (("--swap", "zeros", "--layer", "global_norms.0"), "zeros"),
    ],
)
def test_every_replacement(run, images, tmp_path, options, words):
    options = [images if option == "IMAGES" else option for option in options]
    result = call(run, images / "photo 0.png", *options, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    content = content_of(tmp_path, "swap.json")
    assert content["replaced_by"] == words
    if "--layer" in options:
        assert content["slot"] == "the output of context.global_norms.0"


def test_built_in_scenes_need_no_file(run, tmp_path):
    road, lake = (f"scene:3,kind={kind},size=32x40" for kind in ("road", "lake"))
    result = call(run, road, "--swap", lake, "--json", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["image"] == "scene 3 as road"
    assert content["replaced_by"] == "that of scene 3 as lake"
    assert sum(map(sum, content["counts"])) == 32 * 40


def test_a_scene_is_of_the_test_split():
    name, image = named_image("scene:4,seed=1,size=32x40")
    expected = scene(5, 4, (32, 40))
    assert (image == expected.image).all()
    assert name == f"scene 4 as {expected.kind}"


def test_the_reliance_over_a_data_set(run):
    result = call(run, "data=scenes:size=32x40", "split=val", "limit=3", "seed=2")
    assert result.exit_code == 0, result.output
    assert "3 images; of all pixels change class: " in result.stdout
    assert "IMAGE --swap OTHER_IMAGE" in result.stderr
    content = content_of(run / "probes" / "context", "reliance.json")
    assert content["seed"] == 2
    assert set(content["replacements"]) == {"other", "mean", "zeros"}
    assert "mean_iou_after" in content["replacements"]["zeros"]


def test_reliance_on_a_layer_and_json(run, tmp_path):
    settings = ("data=scenes:size=32x40", "limit=2", "replacements=zeros")
    result = call(run, *settings, "--layer", "global_norms.0", "--json", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert list(json.loads(result.stdout)["replacements"]) == ["zeros"]


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["IMAGE"], ConfigError, "what stands in for the image's context? give --swap"),
        (["IMAGE", "IMAGE", "--swap", "zeros"], ConfigError, "what to probe? give one IMAGE"),
        (["IMAGE", "split=val"], ConfigError, "what to probe? give one IMAGE"),
        (["data=scenes", "--swap", "zeros"], ConfigError, "over data=, replacements=other,mean"),
        (["data=scenes", "replacements=no"], ConfigError, "unknown replacement 'no'"),
        (["data=scenes", "swap=no"], ConfigError, "unknown setting 'swap'"),
        (["IMAGE", "--swap", "mean"], ConfigError, "the mean of which images? give --swap mean"),
        (["IMAGE", "--swap", "zeros", "--mean-of", "x"], ConfigError, "the mean of which images?"),
        (["IMAGE", "--swap", "region:2"], ConfigError, "expected region:BINS,INDEX, e.g. region"),
        (["IMAGE", "--swap", "region:2,4"], ConfigError, "got region 4 of 2 x 2, expected 0 to 3"),
        (["IMAGE", "--swap", "nowhere.png"], DataError, "nowhere.png: no such image file"),
        (["nowhere.png", "--swap", "zeros"], DataError, "nowhere.png: no such image file"),
        (["scene:x", "--swap", "zeros"], ConfigError, "got 'scene:x', expected scene:INDEX"),
        (["scene:1,kind=rod", "--swap", "zeros"], DataError, "did you mean 'road'"),
        (["scene:1,form=a", "--swap", "zeros"], ConfigError, "unknown option of the built-in"),
        (["IMAGE", "--swap", "zeros", "--layer", "x.y"], ConfigError, "unknown layer 'x.y'"),
    ],
)
def test_mistakes_are_named(run, images, words, error, message):
    image = images / "photo 0.png"
    result = call(run, *[image if word == "IMAGE" else word for word in words])
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


def test_a_model_without_context_says_so(images, tmp_path):
    save(create_model("fcn32s", backbone="test_resnet", num_classes=3), tmp_path / "fcn")
    result = call(tmp_path / "fcn", images / "photo 0.png", "--swap", "zeros")
    assert isinstance(result.exception, ConfigError)
    assert "has no context to swap" in str(result.exception)
    assert not np.any([path.suffix == ".png" for path in tmp_path.rglob("*")])
