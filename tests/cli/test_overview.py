"""``lookwider`` alone: the verbs in the order of use, and the next step."""

import json
import os

import pytest
from typer.testing import CliRunner

from lookwider.cli import app
from lookwider.cli.overview import next_step
from lookwider.cli.verbs import STAGES, VERBS, open_verb


def make(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def test_the_verbs_in_the_order_of_use(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    places = [result.stdout.index(f" {name}  ") for name in VERBS]
    assert places == sorted(places)
    assert all(stage in result.stdout for stage in STAGES)
    assert result.stdout.endswith("Nothing to work on in this folder yet.\nnext: lookwider demo\n")


def test_help_shows_the_same_verbs():
    shown = CliRunner().invoke(app, ["--help"]).stdout
    for name, verb in VERBS.items():
        assert name in shown
        assert verb.line.split(":")[0][:30] in " ".join(shown.replace("│", " ").split())


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_opens_and_has_a_line_that_fits_a_terminal(name):
    command = open_verb(name)
    assert command.name == name
    assert command.help
    assert len(VERBS[name].line) <= 55


def test_a_misspelt_verb():
    result = CliRunner().invoke(app, ["evalute"])
    assert result.exit_code == 2
    assert "Did you mean 'evaluate'" in result.stderr


@pytest.mark.parametrize(
    "paths",
    [
        ["photos/images/a.png", "photos/labels/a.png"],
        ["photos/train/images/a.png", "photos/train/masks/a.png"],
        ["photos/JPEGImages/a.png", "photos/SegmentationClass/a.png"],
    ],
)
def test_a_folder_of_data(tmp_path, monkeypatch, paths):
    make(tmp_path, *paths)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, []).stdout.endswith("next: lookwider data check photos\n")


def test_within_the_data(tmp_path, monkeypatch):
    make(tmp_path, "images/a.png", "labels/a.png")
    monkeypatch.chdir(tmp_path)
    assert "next: lookwider data check ." in CliRunner().invoke(app, []).stdout


def test_after_the_check(tmp_path):
    make(tmp_path, "photos/images/a.png", "photos/labels/a.png", "data-check/report.json")
    report = tmp_path / "data-check" / "report.json"
    assert next_step(tmp_path)[1].startswith("lookwider data check")
    report.write_text(json.dumps({"path": "my photos", "class_file": "{}"}))
    assert next_step(tmp_path)[1] == "lookwider train fcn8s 'data=my photos' out=runs/first"
    report.write_text("[" * 100_000)
    assert next_step(tmp_path)[1].startswith("lookwider data check")


def test_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "runs/a/best/lookwider.json", "runs/b/last/lookwider.json")
    make(tmp_path, "photos/images/a.png", "photos/labels/a.png")
    os.utime("runs/b/last/lookwider.json", (1, 1))
    (tmp_path / "runs/a/config.json").write_text('{"data": "photos"}')
    why, command = next_step(tmp_path.relative_to(tmp_path))
    assert why == "2 runs lie here, the newest is runs/a. It is not evaluated."
    assert command == "lookwider evaluate runs/a data=photos"
    (tmp_path / "runs/a/evaluation").mkdir()
    why, command = next_step(tmp_path.relative_to(tmp_path))
    assert why.endswith("It is evaluated.")
    assert command == "lookwider predict runs/a FOLDER --out DIR"


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.iterdir", lambda self: (_ for _ in ()).throw(OSError()))
    assert next_step(tmp_path)[1] == "lookwider demo"
