"""Runs with random weights, measured with everything a page shows."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lookwider.classes import Classes
from lookwider.data import open_dataset
from lookwider.data.first import FirstSamples
from lookwider.errors import CheckpointError, ConfigError, DataError
from lookwider.evaluation import evaluate
from lookwider.models import create_model
from lookwider.report import RunReport
from lookwider.report.chosen import chosen_galleries
from lookwider.report.collect import PARTS, Collecting, collect
from lookwider.report.page import render
from lookwider.report.run_report import short_names
from lookwider.report.sections import instrument_sections
from lookwider.report.together import collect_runs, own_data, own_relations
from lookwider.weights import load, save

from .conftest import SCENES

FEW = Collecting(probed=2, swapped=2)
NOTHING = dataclasses.replace(FEW, without=frozenset(PARTS))


@pytest.fixture(scope="module")
def dataset():
    return open_dataset(SCENES, "test")


@pytest.fixture(scope="module")
def found(runs: tuple[Path, ...], dataset) -> tuple[RunReport, ...]:
    return collect_runs(runs, dataset, how=FEW, protocol={"data": SCENES}, show=False)


def test_everything_is_measured(found, runs, dataset) -> None:
    assert [run.name for run in found] == ["fcn32s", "parsenet", "pspnet"]
    for run, folder in zip(found, runs, strict=True):
        own = evaluate(load(folder), dataset, show=False)
        assert run.evaluation.scores.counts.equal(own.scores.counts)
        assert run.evaluation.protocol["data"] == SCENES
        assert run.predictions is not None
        assert set(run.predictions.names) == set(dataset.names)
        assert run.diagnosis is not None
        assert run.diagnosis.name == run.name
        assert run.config is not None
        assert run.rows[0]["loss"] == "2.5"
        assert run.fields is not None
        assert len(run.fields.names) == 2
        assert run.scales is not None
        assert run.parameters == sum(p.numel() for p in load(folder).parameters())
    fcn, parsenet, pspnet = found
    assert fcn.reliance is None
    assert "has no context to swap" in fcn.missing["context"]
    assert parsenet.missing == pspnet.missing == {}
    assert parsenet.reliance is not None


def test_the_first_run_is_what_others_are_compared_with(found) -> None:
    first, *others = found
    assert first.comparison is None
    for run in others:
        assert run.comparison is not None
        assert run.comparison.first.name == "fcn32s"
        gained = run.comparison.mended.pixels - run.comparison.broken.pixels
        right = [own.evaluation.scores.counts.trace().item() for own in (first, run)]
        assert gained == right[1] - right[0]


def test_one_run_alone_is_diagnosed_while_it_is_evaluated(runs, dataset, found) -> None:
    how = dataclasses.replace(FEW, without=frozenset({"fields", "scales", "context"}))
    (alone,) = collect_runs(runs[:1], dataset, how=how, show=False)
    assert alone.diagnosis is not None
    assert found[0].diagnosis is not None
    assert alone.diagnosis.to_json()["kinds"] == found[0].diagnosis.to_json()["kinds"]


def test_every_instrument_has_its_section(found, dataset) -> None:
    found = found[:2]
    sections = instrument_sections(found)
    assert [s.anchor for s in sections] == ["failures", "fields", "context", "scales"]
    page = render(found, title="a", sections=sections, galleries=chosen_galleries(found, dataset))
    assert "Not measured: fcn32s has no context to swap" in page
    assert "parsenet mended" in page
    assert "theoretical, by the law" in page
    left = tuple(dataclasses.replace(run, diagnosis=None, comparison=None, fields=None,
                                     reliance=None, scales=None) for run in found)  # fmt: skip
    assert instrument_sections(left) == ()


def test_images_are_chosen_by_their_scores(found, dataset) -> None:
    apart, worst, best = chosen_galleries(found, dataset, 1)
    scores = np.array([[i.mean_iou for i in run.evaluation.images] for run in found])
    for gallery, index in (
        (apart, np.ptp(scores, axis=0).argmax()),
        (worst, scores.mean(0).argmin()),
        (best, scores.mean(0).argmax()),
    ):
        (shown,) = gallery.shown
        assert shown.name == dataset.names[int(index)]
        assert shown.note.startswith("mean IoU in %: fcn32s")
        for run, prediction in zip(found, shown.predictions, strict=True):
            assert run.predictions is not None
            np.testing.assert_array_equal(prediction, run.predictions[shown.name])
    titles = [g.title for g in chosen_galleries(found[:1], dataset, 2)]
    assert titles == ["The worst images", "The best images"]
    assert chosen_galleries(found, dataset, 0) == ()
    with pytest.raises(DataError, match="predictions were not kept, expected them"):
        chosen_galleries([dataclasses.replace(found[0], predictions=None)], dataset)


def test_parts_are_left_out_and_progress_is_told(runs, dataset) -> None:
    console = Console(file=io.StringIO(), width=200)
    run = collect(runs[1], FirstSamples(dataset, 2), how=NOTHING, console=console)
    assert (run.diagnosis, run.fields, run.reliance, run.scales) == (None,) * 4
    assert run.missing == dict.fromkeys(PARTS, "left out")
    assert run.name == "seed0"
    said = console.file.getvalue()
    assert "seed0: measuring on 2 images, then probing" in said
    with pytest.raises(ConfigError, match="unknown part of a report 'scale'; did you mean 'scales"):
        Collecting(without=frozenset({"scale"}))


def test_a_checkpoint_without_a_run(runs, dataset, tmp_path) -> None:
    save(load(runs[0]), tmp_path / "copy")
    (run,) = collect_runs([tmp_path / "copy"], FirstSamples(dataset, 1), how=FEW, show=False)
    assert run.config is None
    assert "holds no config.json" in run.missing["learning"]
    assert "give train=" in run.missing["failures"]
    (best,) = collect_runs([runs[0] / "best"], FirstSamples(dataset, 1), how=NOTHING, show=False)
    assert best.config is not None


def test_mistakes_are_told_before_anything_is_measured(runs, dataset, tmp_path) -> None:
    model = create_model("fcn32s", backbone="test_resnet", classes=Classes.named(["a", "b"]))
    save(model, tmp_path / "other")
    with pytest.raises(DataError, match=r"other tells 2 classes \(a, b\) apart, expected the data"):
        collect_runs([runs[0], tmp_path / "other"], dataset, how=NOTHING, show=False)
    with pytest.raises(ConfigError, match="seed0: is given twice; give each run once"):
        collect_runs([runs[0], runs[0]], dataset, how=NOTHING, show=False)
    with pytest.raises(CheckpointError, match="expected a checkpoint, the out= folder"):
        collect_runs([tmp_path], dataset, how=NOTHING, show=False)


def test_the_runs_own_data(runs, tmp_path, dataset) -> None:
    assert own_data(runs) == SCENES
    moved = tmp_path / "moved"
    moved.mkdir()
    config = json.loads((runs[0] / "config.json").read_text()) | {"data": str(tmp_path / "gone")}
    (moved / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"which data\? the runs name .*gone, scenes"):
        own_data([*runs, moved])
    with pytest.raises(ConfigError, match=r"which data\? the runs name none; give data=PATH"):
        own_data([tmp_path])
    assert own_relations([moved], dataset, show=False) is None
    assert own_relations([tmp_path], dataset, show=False) is None
    found = own_relations(runs, dataset, show=False)
    assert found is not None
    assert found.images == 3


def test_names_tell_runs_apart() -> None:
    def named(*paths: str) -> tuple[str, ...]:
        return short_names([Path(path) for path in paths])

    assert named("runs/a") == ("a",)
    assert named("x/fcn/seed0", "x/fcn/seed1") == ("seed0", "seed1")
    assert named("fcn/seed0/best", "psp/seed0/best") == ("fcn", "psp")
    assert named("a/b", "c/b", "c/d") == ("a/b", "c/b", "c/d")
