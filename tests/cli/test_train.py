from pathlib import Path

import pytest

from lookwider.cli import train as command
from lookwider.errors import ConfigError
from lookwider.training import run
from lookwider.training.recipes import RECIPES
from lookwider.training.stopping import StoppedError

SETTINGS = [
    "data=scenes", "backbone=test_efficientnet", "steps=1", "crop_size=32,32", "batch_size=2",
    "val_limit=1", "workers=0", "accelerator=cpu",
]  # fmt: skip


def test_a_run_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.train("fcn32s", [*SETTINGS, f"out={tmp_path / 'a'}"]) == 0
    captured = capsys.readouterr()
    assert "best mean IoU on val:" in captured.out
    assert f"next: lookwider evaluate {tmp_path / 'a'} data=scenes split=test" in captured.out
    assert "GiB memory" in captured.err
    assert "waited for data" in captured.err


def test_stopping_says_how_to_continue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise StoppedError(3, 2)

    monkeypatch.setattr(run, "train", stop)
    settings = [f"out={tmp_path / 'my run'}"]
    assert command.train("fcn32s", settings) == 130
    said = capsys.readouterr().err
    assert "training on the built-in scenes" in said
    assert "stopped by SIGINT, saved after step 3" in said
    assert f"lookwider train fcn32s 'out={tmp_path / 'my run'}'" in said


def test_misspelt_setting() -> None:
    with pytest.raises(ConfigError, match="did you mean 'backbone'"):
        command.train("fcn32s", ["bacbone=vgg16"])


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    command.print_recipes()
    shown = capsys.readouterr().out
    assert all(name in shown for name in RECIPES)
    assert "crop_size" in shown
    assert "next: lookwider train" in shown
