import csv
import io
import json
import os
import re
import signal
from html.parser import HTMLParser
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
from lookwider.layers.receptive_fields import trace_fields
from lookwider.report.demo_page import RECEPTIVE_FIELD
from lookwider.report.page import percent
from lookwider.training.stopping import StoppedError

TINY = {"steps": 2, "size": (32, 48), "seed": 3}


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
    assert f"continuing {folder / 'run'} from step 1" in said[0]
    assert result.training.steps == 2


def test_everything_is_there(result: DemoResult, folder: Path) -> None:
    assert all(path.exists() and folder in path.parents for path in result.files.values())
    for name in ("lake", "road", "street", "skyline", "bedroom"):
        with Image.open(folder / "scenes" / f"{name}.png") as image:
            assert image.size == (48, 32)
        with Image.open(folder / "predictions" / f"{name}.png") as labels:
            assert (labels.mode, labels.size) == ("P", (48, 32))
            expected = load(result.run).predict(folder / "scenes" / f"{name}.png").labels
            np.testing.assert_array_equal(np.array(labels), expected)
        assert (folder / "predictions" / f"{name}_overlay.jpg").is_file()
    for name in ("confusion.png", "worst.png"):
        assert (folder / "evaluation" / name).stat().st_size > 10_000


def test_the_table_is_the_evaluation(result: DemoResult, folder: Path) -> None:
    measured = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    with (folder / "table.csv").open(newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(measured["classes"])
    for name, values in measured["classes"].items():
        for column, key in (("iou", "iou"), ("accuracy", "accuracy"), ("share_of_pixels", "share")):
            found = float(rows[name][column]) if rows[name][column] else None
            assert found == values[key]


def test_failures_are_those_of_the_scenes(result: DemoResult) -> None:
    """Image by image with the scenes' own failure maps, and nothing of the confusion."""
    test = open_dataset(demo_config(result.folder, **TINY).data, "test")
    model = load(result.run)
    pixels, right = np.zeros(4, np.int64), np.zeros(4, np.int64)
    with torch.inference_mode():
        for index in range(len(test)):
            scene = test.scene(index)
            hit = model.predict(scene.image).labels == scene.label
            pixels += np.bincount(scene.failure.ravel(), minlength=4)
            right += np.bincount(scene.failure[hit], minlength=4)
    found = {score.kind: score for score in result.failures}
    assert sorted(found) == [0, 1, 2, 3]
    assert [found[kind].pixels for kind in range(4)] == pixels.tolist()
    assert [found[kind].right for kind in range(4)] == right.tolist()
    assert pixels.sum() == 100 * 32 * 48


class Cells(HTMLParser):
    """Collects the text of headline numbers and of table cells, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[str] = []
        self.rows: list[list[str]] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag in {"td", "th", "dd"}:
            self.inside = tag
        if tag == "dd":
            self.heads.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.inside:
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "dd":
            self.heads[-1] += data
        elif self.inside:
            self.rows[-1][-1] += data.strip()


def test_the_numbers_on_the_page_are_the_evaluations(result: DemoResult) -> None:
    measured = json.loads((result.folder / "evaluation" / "evaluation.json").read_text())
    page = Cells()
    page.feed(result.report.read_text())
    names = ("mean_iou", "pixel_accuracy", "mean_accuracy", "freq_weighted_iou")
    assert page.heads[:4] == [f"{percent(measured[name])} %" for name in names]
    rows = {row[0]: row[1:] for row in page.rows}
    for name, values in measured["classes"].items():
        iou, accuracy = (np.nan if values[k] is None else values[k] for k in ("iou", "accuracy"))
        shown = [percent(iou), "", percent(accuracy), percent(values["share"])]
        assert shown in [row[1:] for row in page.rows if row[0] == name]
    for score in result.failures:
        (shown,) = (cells for name, cells in rows.items() if name.startswith(score.name))
        assert int(re.sub(r"\D", "", shown[0])) == score.pixels
        shares = (score.accuracy, score.alike_share, score.other_share)
        assert shown[1:4] == [percent(share) for share in shares]
    assert f"{len(measured['images'])} images" in " ".join(page.heads)


def test_the_page_names_the_kinds_of_failure_and_what_to_do_next(result: DemoResult) -> None:
    page = result.report.read_text()
    assert all(kind in page for kind in FAILURE_KINDS[1:])
    assert "lookwider data check PATH" in page
    assert "lookwider train fcn8s data=PATH out=runs/first" in page


def test_the_receptive_field_that_the_page_tells_of(result: DemoResult) -> None:
    fields = trace_fields(load(result.run), size=(1024, 1024))
    seen = max(layer.rows.size for name, layer in fields.items() if name.startswith("backbone"))
    assert seen == RECEPTIVE_FIELD
    assert (
        f"spans {RECEPTIVE_FIELD} pixels and the pictures are 32 x 48" in result.report.read_text()
    )


def test_a_finished_demo_only_makes_its_pages_anew(
    result: DemoResult, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = result.run / "last" / "model.safetensors"
    before, page = weights.stat().st_mtime_ns, result.report.read_text()
    result.report.unlink()
    again = run_demo(result.folder, **TINY)
    said = capsys.readouterr().err
    assert "already finished, 2 steps" in said
    assert "the training is kept" in said
    assert weights.stat().st_mtime_ns == before
    assert again.report.read_text() == page
    assert again.evaluation.scores.counts.equal(result.evaluation.scores.counts)


def test_another_demo_in_the_same_folder_is_refused(result: DemoResult) -> None:
    with pytest.raises(ConfigError, match=r"other settings \(steps: 2 -> 5.*choose another --out"):
        run_demo(result.folder, steps=5, size=(32, 48), seed=3)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no demo; choose another --out"):
        run_demo(tmp_path)
    with pytest.raises(ConfigError, match="holds no demo"):
        run_demo(tmp_path / "thesis.txt")


def test_scenes_have_a_least_size(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got size 16x64, expected at least 32x32"):
        run_demo(tmp_path / "a", size=(16, 64))
