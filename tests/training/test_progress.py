"""What a run shows while it goes on."""

from pathlib import Path

import pytest
from rich.console import Console
from tests.training import tiny

from lookwider.training import run


def test_progress_without_a_terminal(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookwider.training.progress.LINE_SECONDS", 0.0)
    message = tiny.said(tiny.plain_config(data, tmp_path / "run"), capsys)
    assert "step 4/6  loss" in message
    assert "val mean IoU" in message
    assert "left" in message
    assert "never predicted:" in message


def test_progress_on_a_terminal(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(stderr=True, width=120, force_terminal=True)
    run.train(tiny.plain_config(data, tmp_path / "run", steps=3), console)
    message = capsys.readouterr().err
    assert "training" in message
    assert "3/3" in message
