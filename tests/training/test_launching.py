"""``devices=2`` on the command line: a process for each device, and one clear message."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.training import tiny

from lookwider.cli import train as command
from lookwider.errors import ConfigError
from lookwider.training.distributed import LostProcessError
from lookwider.training.launching import start_processes
from lookwider.weights.description import describe


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The launcher belongs to a command: its variables and handlers of signals stay."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(os, "environ", os.environ.copy())
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("codes", [("0", "130"), ("2", "0"), ("2", "-15")])
def test_the_code_is_that_of_the_process_that_failed(codes: tuple[str, str]) -> None:
    assert start_processes(2, ["tests.training.leaving", *codes]) == max(map(int, codes))


def test_a_process_that_was_killed_is_named() -> None:
    with pytest.raises(
        LostProcessError,
        match=r"process 2 of 2 was ended by SIGKILL \(so does .* full\), and the others with it\. "
        "Start the same command again to continue",
    ):
        start_processes(2, ["tests.training.leaving", "0", "-9"])
    with pytest.raises(LostProcessError, match=r"process 1 of 2 was ended by SIGSEGV, and the oth"):
        start_processes(2, ["tests.training.leaving", "-11", "0"])


def test_a_run_on_two_devices_from_the_command_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, out = tiny.make_data(tmp_path / "data"), tmp_path / "run"
    settings = [
        *(f"data={data}", f"out={out}", "backbone=test_efficientnet", "steps=2", "batch_size=2"),
        *("crop_size=32,32", "workers=1", "accelerator=cpu", "precision=32-true"),
    ]
    assert command.train("fcn32s", [*settings, "devices=2"]) == 0
    said, heard = capfd.readouterr()
    assert said.count("best mean IoU on val:") == said.count("next: lookwider evaluate") == 1
    assert heard.count("2 steps, ") == 1
    assert describe(out / "last").protocol["processes"] == 2


def test_mistakes_are_told_once_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="batch_size=3 must be a multiple of devices=2"):
        command.train("fcn32s", ["batch_size=3", "devices=2", "steps=1"])
