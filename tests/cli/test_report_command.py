"""`lookwider report` from run folders to one file."""

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lookwider.cli import app
from lookwider.data.scenes import SCENE_CLASSES
from lookwider.errors import CheckpointError, ConfigError, DataError
from lookwider.models import create_model
from lookwider.training.recipes import configure
from lookwider.weights import save

SCENES = "scenes:count=2,size=32x48"
QUICK = ("without=failures,fields,scales", "swapped=2", "images=1")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("my runs")
    made = []
    for name in ("fcn32s", "parsenet"):
        torch.manual_seed(0)
        run, options = folder / name, {} if name == "fcn32s" else {"output_stride": 32}
        model = create_model(name, backbone="test_resnet", classes=SCENE_CLASSES, **options)
        save(model, run / "best")
        config = configure(name, {"steps": 5, "data": SCENES, "out": str(run)})
        (run / "config.json").write_text(config.model_dump_json(exclude={"resume"}))
        made.append(run)
    return tuple(made)


def call(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_one_page_for_two_runs(runs, tmp_path):
    page = tmp_path / "deep" / "page.html"
    result = call(*runs, f"out={page}", *QUICK)
    assert result.exit_code == 0, result.output
    assert re.search(r"parsenet.* \d+\.\d", result.stdout)
    assert f"next: open {page} in a browser" in result.stderr
    assert "fcn32s, no fields: left out" in result.stderr
    assert "fcn32s, no context: fcn32s has no context to swap" in result.stderr
    text = page.read_text()
    assert f"<h1>fcn32s and parsenet on {SCENES}, test</h1>" in text
    for anchor in ("context", "images-1", "classes", "confusion", "next"):
        assert f'id="{anchor}"' in text
    assert 'id="fields"' not in text
    assert 'id="failures"' not in text
    assert f"lookwider evaluate &#39;{runs[0]}" in text or f"evaluate &#39;{runs[1]}" in text
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


def test_settings_reach_the_measurement(runs, tmp_path):
    page = tmp_path / "page.html"
    settings = ("data=scenes:count=4,size=32x32", "split=val", "limit=3", "scales=1,2")
    result = call(
        runs[1], f"out={page}", *settings, "train=scenes:count=2,size=32x32", "class_map=data",
        "without=fields,scales,context", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (run,) = json.loads(result.stdout)
    assert len(run["evaluation"]["images"]) == run["failures"]["images"] == 3
    assert run["missing"]["context"] == "left out"
    assert "comparison" not in run
    text = page.read_text()
    assert "scenes:count=4,size=32x32, val: 3 images" in text
    assert "scales 1, 2 of its own size" in text
    assert 'id="failures"' in text


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["data=x"], ConfigError, "which runs? give one or several run folders"),
        (["RUN", "dta=x"], ConfigError, "unknown setting 'dta'; did you mean 'data'"),
        (["RUN", "images=-1"], ConfigError, "images=-1: input should be greater than or equal"),
        (["RUN", "without=field"], ConfigError, "unknown part of a report 'field'; did you mean"),
        (["RUN", "RUN"], ConfigError, "is given twice"),
        (["RUN", "class_map=model"], ConfigError, "was saved without a class map"),
        (["RUN", "data=nowhere"], DataError, "nowhere"),
        (["nowhere", "data=scenes:count=1,size=32x32"], CheckpointError, "no such folder"),
        (["nowhere"], ConfigError, "which data? the runs name none"),
    ],
)
def test_mistakes_are_named(runs, tmp_path, words, error, message):
    given = [str(runs[0]) if word == "RUN" else word for word in words]
    result = call(*given, f"out={tmp_path / 'page.html'}")
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert not (tmp_path / "page.html").exists()
