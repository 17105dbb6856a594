"""`lookwider diagnose` from runs to tables, files and the next command."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lookwider.classes import Classes, ClassMap
from lookwider.cli import app
from lookwider.cli.diagnose import diagnosis_folder
from lookwider.data.scenes import SCENE_CLASSES
from lookwider.errors import ConfigError, DataError
from lookwider.models import create_model
from lookwider.training.recipes import configure
from lookwider.weights import save

DATA = "data=scenes:count=2,size=32x32"
TRAIN = "train=scenes:count=3,size=32x32"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in ("a", "b"):
        model = create_model("fcn32s", backbone="test_resnet", classes=SCENE_CLASSES)
        save(model, folder / name / "best")
    values = {"data": "scenes:count=4,size=32x32", "out": str(folder / "a")}
    config = configure("fcn32s", values)
    (folder / "a" / "config.json").write_text(config.model_dump_json())
    return folder


def call(*arguments):
    return CliRunner().invoke(app, ["diagnose", *map(str, arguments)])


def test_one_run_with_the_training_data_of_its_own(runs):
    result = call(runs / "a", DATA)
    assert result.exit_code == 0, result.output
    assert "mismatched relationship" in " ".join(result.stdout.split())
    assert "A pixel may be of several kinds." in result.stderr
    assert f"next: lookwider diagnose {runs / 'a'} OTHER_RUN {DATA} split=test" in result.stderr
    folder = runs / "a" / "diagnosis" / "test"
    content = json.loads((folder / "diagnosis.json").read_text())
    assert content["images"] == 2
    assert content["settings"]["training_images"] == 4
    kept = json.loads((folder / "relations.json").read_text())
    assert kept["counted_on"] == "4 images: scenes:count=4,size=32x32, train, layout auto"


def test_relations_are_kept_until_the_training_data_changes(runs, tmp_path):
    settings = (DATA, f"out={tmp_path}", "limit=1", "small=0.02")
    assert call(runs / "a", TRAIN, *settings).exit_code == 0
    kept = tmp_path / "relations.json"
    marked = json.loads(kept.read_text())
    marked["images"] = 77
    kept.write_text(json.dumps(marked))
    assert call(runs / "a", TRAIN, *settings).exit_code == 0
    content = json.loads((tmp_path / "diagnosis.json").read_text())
    assert content["settings"]["training_images"] == 77
    assert content["settings"]["thresholds"]["small"] == 0.02
    assert content["images"] == 1
    assert call(runs / "a", *settings).exit_code == 0
    assert json.loads(kept.read_text())["images"] == 4


def test_relations_of_other_classes_are_counted_anew(runs, tmp_path):
    assert call(runs / "a", TRAIN, DATA, f"out={tmp_path}").exit_code == 0
    kept = tmp_path / "relations.json"
    other = json.loads(kept.read_text())
    right, other["classes"] = other["classes"], [f"{name}?" for name in other["classes"]]
    kept.write_text(json.dumps(other))
    assert call(runs / "a", TRAIN, DATA, f"out={tmp_path}").exit_code == 0
    assert json.loads(kept.read_text())["classes"] == right
    kept.write_text(json.dumps(other))
    result = call(runs / "a", f"relations={kept}", DATA, f"out={tmp_path / 'new'}")
    assert "count them on data of the model's classes" in str(result.exception)


def stored(folder, values):
    """Write an image whose label holds two of these values."""
    for part in ("images", "labels"):
        (folder / part / "test").mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    label = np.full((32, 32), values[0], np.uint8)
    label[16:] = values[1]
    Image.fromarray(image).save(folder / "images" / "test" / "a.png")
    Image.fromarray(label).save(folder / "labels" / "test" / "a.png")
    return folder


def test_told_training_data_is_read_as_the_test_data_is(tmp_path):
    classes = Classes.named(("ground", "sky"))
    model = create_model("fcn32s", backbone="test_resnet", classes=classes)
    model.class_map = ClassMap({7: 0, 26: 1})
    save(model, tmp_path / "a")
    data, train = stored(tmp_path / "test", (7, 26)), stored(tmp_path / "train", (26, 7))
    words = [f"data={data}", f"train={train}", "train_split=test"]
    words += ["layout=folder", f"out={tmp_path / 'o'}"]
    result = call(tmp_path / "a", *words, "class_map=model")
    assert result.exit_code == 0, (result.output, result.exception)
    kept = json.loads((tmp_path / "o" / "relations.json").read_text())
    assert kept["classes"] == ["ground", "sky"]
    assert kept["counted_on"].endswith("layout folder, the model's class map")


def test_training_data_of_other_classes_is_refused_before_it_is_counted(runs, tmp_path):
    train = stored(tmp_path / "train", (0, 1))
    (train / "classes.txt").write_text("ground\nsky\n")
    words = (f"train={train}", "train_split=test", DATA, f"out={tmp_path / 'o'}")
    result = call(runs / "a", *words)
    assert isinstance(result.exception, DataError)
    assert "has 2 classes: ground, sky; expected the model's" in str(result.exception)
    assert not (tmp_path / "o").exists()


def test_pictures_of_an_earlier_run_do_not_stay(runs, tmp_path):
    (tmp_path / "first").mkdir()
    stale = ("mended.png", "comparison.json", "first/recall.png", "first/diagnosis.json")
    for name in (*stale, "mine.png", "mismatched.png"):
        (tmp_path / name).write_bytes(b"old")
    assert call(runs / "a", TRAIN, DATA, "examples=0", f"out={tmp_path}").exit_code == 0
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"mine.png", "diagnosis.json", "recall.png", "relations.json"}


def test_two_runs_are_compared(runs, tmp_path):
    result = call(runs / "b", runs / "a", DATA, f"out={tmp_path}", "batch_size=2")
    assert result.exit_code == 0, result.output
    assert "mended" in result.stdout
    assert f"next: lookwider report {runs / 'b'} {runs / 'a'} {DATA}" in result.stderr
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert (content["first"]["name"], content["second"]["name"]) == ("b", "a")
    assert (tmp_path / "second" / "diagnosis.json").is_file()


def test_json_for_scripts(runs, tmp_path):
    call(runs / "a", TRAIN, DATA, f"out={tmp_path}")
    relations = f"relations={tmp_path / 'relations.json'}"
    result = call(runs / "b" / "best", DATA, relations, f"out={tmp_path}", "--json")
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)["kinds"]) == {"mismatched", "confusable", "inconspicuous"}


def test_the_folder_of_two_names_the_second(runs):
    checkpoints = [runs / "a" / "best", runs / "b" / "best"]
    found = diagnosis_folder(checkpoints, ("x/a", "x/b"), "val")
    assert found == runs / "a" / "diagnosis" / "val-and-x-b"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ([], ConfigError, "which data? give data=PATH"),
        ([DATA, "smal=0.1"], ConfigError, "unknown setting 'smal'; did you mean 'small'"),
        ([DATA, "contrast=inf"], ConfigError, "got contrast=inf, expected a finite number"),
        ([DATA, "together=near"], ConfigError, "together=near: input should be 'touching'"),
        ([DATA, "part=0.7"], ConfigError, "got part=0.7, expected more than 0"),
        ([DATA], ConfigError, "so its training data is not known; give train=DATA, or relations="),
        ([DATA, "relations=nowhere.json"], DataError, "nowhere.json: cannot be read"),
        ([DATA, "class_map=model"], ConfigError, "was saved without a class map; use class_map"),
    ],
)
def test_mistakes_are_named(runs, settings, error, message):
    result = call(runs / "b", *settings)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


def test_three_runs_are_too_many(runs):
    result = call(runs / "a", runs / "b", runs / "a" / "best", DATA)
    assert "got 3 runs, expected one, or two to compare" in str(result.exception)
