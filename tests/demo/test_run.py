import csv
import io
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from lookwider import load, open_dataset
from lookwider.data.scenes import FAILURE_KINDS
from lookwider.demo import DemoResult, demo_config, run_demo
from lookwider.errors import ConfigError
from lookwider.report.collect import PARTS, Collecting
from lookwider.training.stopping import StoppedError

TINY = {
    "systems": ("pspnet", "fcn8s"),
    "steps": 2,
    "size": (32, 48),
    "seed": 3,
    "how": Collecting(batch_size=20, probed=1, swapped=2),
}


class StopAtFirstValidation(Console):
    """Presses Ctrl-C when the first validation complains, as it must after one step."""

    pressed = False

    def print(self, *objects: object, **options: object) -> None:
        super().print(*objects, **options)
        if not self.pressed and "never predicted" in str(objects):
            self.pressed = True
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "my demo"


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(folder: Path, said: list[str]) -> DemoResult:
    """Stop a demo after the first of its two steps, and go on."""
    console = StopAtFirstValidation(record=True, width=200, file=io.StringIO())
    with pytest.raises(StoppedError, match="SIGINT"):
        run_demo(folder, console=console, **TINY)
    assert not (folder / "report.html").exists()
    finished = run_demo(folder, console=console, **TINY)
    said.append(console.export_text())
    return finished


def test_a_stopped_demo_goes_on(result: DemoResult, said: list[str], folder: Path) -> None:
    assert f"continuing {folder / 'runs' / 'fcn8s'} from step 1" in said[0]
    assert "1/4 training FCN-8s" in said[0]
    assert "2/4 training PSPNet" in said[0]
    assert [training.steps for training in result.trainings] == [2, 2]
    assert [run.name for run in result.runs] == ["FCN-8s", "PSPNet"]


def test_everything_is_there(result: DemoResult, folder: Path) -> None:
    assert all(path.exists() and folder in path.parents for path in result.files.values())
    for name in ("lake", "road", "street", "skyline", "bedroom"):
        with Image.open(folder / "scenes" / f"{name}.png") as image:
            assert image.size == (48, 32)
        for run in result.runs:
            own = folder / "predictions" / run.folder.name
            with Image.open(own / f"{name}.png") as labels:
                assert (labels.mode, labels.size) == ("P", (48, 32))
                expected = load(run.folder).predict(folder / "scenes" / f"{name}.png").labels
                np.testing.assert_array_equal(np.array(labels), expected)
            assert (own / f"{name}_overlay.jpg").is_file()
    for name in ("swap.npz", "swap.json", "swap.png"):
        assert (folder / "context-swap" / name).stat().st_size > 100


def test_the_table_is_the_evaluations(result: DemoResult, folder: Path) -> None:
    with (folder / "table.csv").open(newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    for run in result.runs:
        measured = json.loads((run.folder / "evaluation/test/evaluation.json").read_text())
        assert list(rows) == list(measured["classes"])
        for name, values in measured["classes"].items():
            for column, key in ((run.name, "iou"), ("share_of_pixels", "share")):
                found = float(rows[name][column]) if rows[name][column] else None
                assert found == values[key]


def test_failures_are_those_of_the_scenes(result: DemoResult) -> None:
    """Image by image with the scenes' own failure maps, and nothing of the confusion."""
    test = open_dataset("scenes:size=32x48,seed=3", "test")
    for run, failures in zip(result.runs, result.failures, strict=True):
        model = load(run.folder)
        pixels, right = np.zeros(4, np.int64), np.zeros(4, np.int64)
        with torch.inference_mode():
            for index in range(len(test)):
                scene = test.scene(index)
                hit = model.predict(scene.image).labels == scene.label
                pixels += np.bincount(scene.failure.ravel(), minlength=4)
                right += np.bincount(scene.failure[hit], minlength=4)
        found = {score.kind: score for score in failures}
        assert sorted(found) == [0, 1, 2, 3]
        assert [found[kind].pixels for kind in range(4)] == pixels.tolist()
        assert [found[kind].right for kind in range(4)] == right.tolist()
        assert pixels.sum() == 100 * 32 * 48


def test_the_page_has_what_the_instruments_found(result: DemoResult) -> None:
    page = result.report.read_text()
    assert all(kind in page for kind in FAILURE_KINDS[1:])
    for words in (
        "A road in a lake's context",
        "Reliance on context",
        "Where the runs differ most",
    ):
        assert words in page.replace("&#39;", "'"), words
    assert "lookwider data check PATH" in page
    assert "lookwider report runs/first runs/second data=PATH split=test" in page


def test_a_finished_demo_only_makes_its_pages_anew(result: DemoResult) -> None:
    weights = [run.folder / "last" / "model.safetensors" for run in result.runs]
    before = [path.stat().st_mtime_ns for path in weights]
    result.report.unlink()
    console = Console(record=True, width=400, file=io.StringIO())
    how = Collecting(batch_size=20, without=frozenset(PARTS))
    again = run_demo(result.folder, **{**TINY, "how": how}, console=console)
    assert console.export_text().count("already finished, 2 steps") == 2
    assert [path.stat().st_mtime_ns for path in weights] == before
    for first, second in zip(result.runs, again.runs, strict=True):
        assert first.evaluation.scores.counts.equal(second.evaluation.scores.counts)
    assert again.report.is_file()


def test_another_demo_in_the_same_folder_is_refused(result: DemoResult) -> None:
    with pytest.raises(ConfigError, match=r"other settings \(steps: 2 -> 5.*choose another --out"):
        run_demo(result.folder, steps=5, size=(32, 48), seed=3)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no demo; choose another --out"):
        run_demo(tmp_path)
    with pytest.raises(ConfigError, match="holds no demo"):
        run_demo(tmp_path / "thesis.txt")
    (tmp_path / "work" / "runs" / "first").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds no demo"):
        run_demo(tmp_path / "work")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (16, 64)}, "got size 16x64, expected at least 32x32"),
        ({"systems": ["segnet"]}, "unknown system 'segnet'"),
        ({"systems": []}, "got no system, expected some of fcn8s, parsenet, pspnet"),
    ],
)
def test_impossible_demos(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        run_demo(tmp_path / "a", **settings)
    with pytest.raises(ConfigError, match="unknown system 'fcn'; did you mean 'fcn8s'"):
        demo_config(tmp_path, "fcn")
