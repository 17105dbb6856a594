"""For scripts: ``--json`` on every command, nothing else on standard output, exit codes."""

import json
import re
import shutil
from pathlib import Path

import pytest
from tests.cli.test_demo_command import finished
from typer.testing import CliRunner

import lookwider as lw
from lookwider import cli, demo
from lookwider.cli import app
from lookwider.cli.verbs import VERBS, open_verb

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "scripts.md"


def leaves():
    """Yield every command with its name."""
    for name in VERBS:
        opened = open_verb(name)
        inside = getattr(opened, "commands", None)
        if inside is None:
            yield name, opened
        else:
            yield from ((f"{name} {part}", command) for part, command in inside.items())


COMMANDS = dict(leaves())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    model = lw.create_model("fcn32s", backbone="test_resnet", num_classes=21)
    return lw.save(model, tmp_path_factory.mktemp("model") / "a", golden=True)


def content(*words):
    """Return what a command prints with ``--json``: one object, and nothing else."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout, parse_constant=pytest.fail)  # no NaN


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json(name):
    assert "--json" in {option for each in COMMANDS[name].params for option in each.opts}


def test_lists():
    assert content("train", "--list")["recipes"].keys() >= {"fcn8s", "pspnet"}
    assert content("train")["settings"]["crop_size"]["default"]
    assert content("ablate", "--list")["fcn"]["rows"] > 1
    layers = content("probe", "field", "fcn32s", "--list", "--size", "64x64")
    assert layers["scores"]["channels"] == 21


def test_a_training(tmp_path):
    settings = [
        "data=scenes", "backbone=test_resnet", "steps=1", "crop_size=32,32", "batch_size=2",
        "val_limit=1", "workers=0", "accelerator=cpu", f"out={tmp_path / 'a'}",
    ]  # fmt: skip
    found = content("train", "fcn32s", *settings)
    assert found["run"] == str(tmp_path / "a")
    assert found["steps"] == found["best_step"] == 1


def test_a_demo(monkeypatch):
    monkeypatch.setattr(demo, "run_demo", finished)
    found = content("demo", "--out", "there")
    assert found["files"] == {"report": "there/report.html", "table": "there/table.csv"}
    assert found["runs"][0]["name"] == "PSPNet"


def test_a_checkpoint(run, tmp_path):
    assert content("verify", run)["good"]
    assert "README.md" in content("push", run, "ann/roads", "--out", tmp_path / "card")["files"]


def documented():
    """Return the exit codes of the page, with what they mean."""
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {int(code): meaning for code, meaning in rows}


def test_the_documented_exit_codes_are_all():
    assert documented().keys() == {0, 1, 2, 130, 141, 143}


def code_of(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["lookwider", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_exit_codes(run, tmp_path, monkeypatch, capsys):
    damaged = shutil.copytree(run, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for code, words in {
        0: [["verify", run], ["--version"], ["predict", "--help"], []],
        1: [["verify", damaged], ["data", "check", "empty"]],
        2: [
            ["no-such-verb"],
            ["verify"],
            ["verify", tmp_path / "none"],
            ["evaluate", run],
            ["train", "fcn8s", "bakbone=vgg16"],
            ["predict", "hf://nonsense", "a.png", "--out", "b"],
        ],
    }.items():
        for each in words:
            assert code_of(monkeypatch, *each) == code, each
        capsys.readouterr()
