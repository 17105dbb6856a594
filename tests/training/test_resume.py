"""A real process is killed at an arbitrary moment; the weights come out the same, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tests.training import tiny

from lookwider.training import run
from lookwider.training.config import TrainConfig
from lookwider.training.logs import read_metrics

SCRIPT = Path(__file__).with_name("tiny.py")


@pytest.fixture(autouse=True)
def as_in_the_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(run, "create_model", tiny.model_with_dropout)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def start(data: Path, out: Path, *settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(data), str(out), *settings],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_steps(process: subprocess.Popen[str], out: Path, steps: int) -> None:
    """Wait until rows beyond ``steps`` are in the table."""
    end = time.monotonic() + 400
    while time.monotonic() < end and process.poll() is None:
        rows = read_metrics(out / "metrics.csv")
        if rows and int(rows[-1]["step"]) > steps and (out / "last").exists():
            return
        time.sleep(0.005)
    process.kill()
    pytest.fail(f"the process did not get to step {steps}: {process.communicate()}")


def finish(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> str:
    run.train(config, Console(stderr=True, width=200))
    return capsys.readouterr().err


def assert_same_state(one: Path, other: Path) -> None:
    for name in ("last/model.safetensors", "last/training.safetensors", "best/model.safetensors"):
        tensors, others = load_file(one / name), load_file(other / name)
        assert tensors.keys() == others.keys()
        different = [key for key in tensors if not torch.equal(tensors[key], others[key])]
        assert not different, f"{name}: {different[:5]}"
    names = [(run_ / "last/training.json").read_text() for run_ in (one, other)]
    states = [json.loads(text)["state"] for text in names]
    assert states[0]["callbacks"] == states[1]["callbacks"]
    assert states[0]["global_step"] == states[1]["global_step"]


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "create_model", tiny.model_with_dropout)
        run.train(tiny.tiny_config(data, out), Console(quiet=True))
    torch.set_num_threads(threads)
    return out


@pytest.mark.slow
def test_killed_run_continues_bit_for_bit(
    data: Path, uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "killed"
    process = start(data, out, "workers=1")
    wait_for_steps(process, out, random.choice((2, 6)))
    time.sleep(random.uniform(0.0, 0.3))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    said = finish(tiny.tiny_config(data, out), capsys)
    assert "continuing" in said
    assert_same_state(uninterrupted, out)
    kept, whole = (
        [{k: row[k] for k in ("step", "lr", "val_mean_iou")} for row in read_metrics(r)]
        for r in (out / "metrics.csv", uninterrupted / "metrics.csv")
    )
    assert kept == whole


@pytest.mark.slow
def test_ctrl_c_saves_says_how_to_continue_and_loses_nothing(
    data: Path, uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "stopped"
    process = start(data, out, "workers=1")
    wait_for_steps(process, out, 4)
    os.killpg(process.pid, signal.SIGINT)  # the whole group, as a terminal does
    _, said = process.communicate(timeout=400)
    assert process.returncode == 130, said
    assert "stopped by SIGINT, saved after step" in said
    assert "Continue with" in said
    assert "Traceback" not in said
    step = int(said.split("after step ")[1].split(";")[0])
    again = finish(tiny.tiny_config(data, out), capsys)
    assert f"from step {step} (last/)" in again
    assert_same_state(uninterrupted, out)


def test_damaged_last_state_falls_back_to_the_one_before(
    data: Path, uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "damaged"
    stop_at(tiny.tiny_config(data, out), 14)
    path = out / "last" / "training.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    said = finish(tiny.tiny_config(data, out), capsys)
    assert "skipped a damaged state" in said
    assert "(previous/)" in said
    assert_same_state(uninterrupted, out)


def stop_at(config: TrainConfig, step: int) -> None:
    """Stop a run as a signal does, after exactly so many steps."""
    original = run.KeepRun.on_train_batch_end

    def ask(self: run.KeepRun, trainer: run.Trainer, *rest: object) -> None:
        if trainer.global_step == step:
            self.stop.signal = signal.SIGINT
        original(self, trainer, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.KeepRun, "on_train_batch_end", ask)
        with pytest.raises(run.StoppedError, match=f"after step {step}"):
            run.train(config, Console(quiet=True))


@pytest.mark.parametrize("step", [1, 8, 19])
def test_stopped_at_any_step(data: Path, uninterrupted: Path, tmp_path: Path, step: int) -> None:
    """At the first step, at a validation, and before the last step."""
    config = tiny.tiny_config(data, tmp_path / "run")
    stop_at(config, step)
    result = run.train(config, Console(quiet=True))
    assert result.steps == 20
    assert_same_state(uninterrupted, config.out)


def test_finished_run_is_left_alone(
    data: Path, uninterrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny.tiny_config(data, uninterrupted)
    before = (uninterrupted / "last" / "lookwider.json").read_bytes()
    said = finish(config, capsys)
    assert "already finished, 20 steps" in said
    assert (uninterrupted / "last" / "lookwider.json").read_bytes() == before
