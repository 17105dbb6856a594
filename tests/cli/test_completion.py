"""What the Tab key offers, asked as the shells ask."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lookwider.cli import app, completion
from lookwider.cli.data import LAYOUTS
from lookwider.cli.settings import parse_settings
from lookwider.data import layouts
from lookwider.training.recipes import RECIPES, configure


@pytest.fixture
def runs(tmp_path, monkeypatch):
    for place in ("runs/a/best", "runs/b/last", "demo/runs/pspnet/best", "models/fcn8s", "photos"):
        (tmp_path / place).mkdir(parents=True)
        if place != "photos":
            (tmp_path / place / "lookwider.json").touch()
    monkeypatch.chdir(tmp_path)


def offered(shell, line):
    """Return what a shell is given for the last word of a line."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    env = asked | {"_LOOKWIDER_COMPLETE": f"complete_{shell}"}
    result = CliRunner().invoke(app, [], env=env, prog_name="lookwider")
    return result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script_and_gets_answers(shell, runs):
    env = {"_LOOKWIDER_COMPLETE": f"source_{shell}"}
    script = CliRunner().invoke(app, [], env=env, prog_name="lookwider").stdout
    assert "_LOOKWIDER_COMPLETE=complete_" + shell in script
    verbs = offered(shell, "lookwider p")
    assert all(verb in verbs for verb in ("predict", "probe", "push"))
    assert "train" not in verbs.replace("trained", "")
    assert "runs/a" in offered(shell, "lookwider predict runs/")
    assert "--crop-size" in offered(shell, "lookwider predict runs/a --cr")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lookwider predict ", "demo/runs/pspnet runs/a runs/b"),
        ("lookwider evaluate models/", "models/fcn8s"),
        ("lookwider serve runs/a", "runs/a"),
        ("lookwider export models/", "models/fcn8s"),
        ("lookwider evaluate runs/a sp", "split=test split=val"),
        ("lookwider report runs/a runs/", "runs/a runs/b"),
        ("lookwider report runs/a da", "data=scenes"),
        ("lookwider probe scales runs/b", "runs/b"),
        ("lookwider train pspnet_v", "pspnet_voc_paper"),
        ("lookwider train fcn8s st", "steps=4000"),
        ("lookwider train fcn8s backbone=v", "backbone=vgg16"),
        ("lookwider train fcn8s backbone = v", "vgg16"),
        ("lookwider train fcn8s backbone = resnet5", "resnet50 resnet50_psp"),
        ("lookwider predict photos/none/", ""),
        ("lookwider data c", "check"),
    ],
)
def test_bash(runs, line, expected):
    assert offered("bash", line).split() == expected.split()


def test_what_is_offered_is_there():
    assert set(completion.RECIPES) == RECIPES.keys()
    assert ", ".join(layouts.LAYOUTS) == LAYOUTS
    for setting in completion.SETTINGS:
        configure("fcn8s", parse_settings([setting]))


def test_nothing_slow_is_imported(runs):
    """What the table of verbs needs, in a new interpreter: PyTorch takes seconds."""
    code = (
        "import sys; from lookwider.cli.verbs import VERBS, open_verb;"
        "[open_verb(name) for name in VERBS if name != 'serve'];"
        "import lookwider.cli.overview; print('numpy' in sys.modules);"
        "open_verb('serve'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
