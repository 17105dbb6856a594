"""A process of several is lost, told to stop, or computes nonsense: all end, none in silence."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from rich.console import Console
from tests.training import tiny, together

from lookwider.errors import ConfigError
from lookwider.training import run
from lookwider.training.checkpointing import find_saved_state
from lookwider.training.distributed import find_processes
from lookwider.training.logs import read_metrics
from lookwider.training.recipes import configure
from lookwider.training.run_folder import joined_state

LONG = ("steps=5000", "val_split=none", "save_every=2", "log_every=1")


def under_way(data: Path, out: Path) -> list[subprocess.Popen[str]]:
    """Start two processes, and wait until states were saved."""
    processes = together.start(2, "train", str(data), str(out), *LONG)
    end = time.monotonic() + 200
    while time.monotonic() < end and all(process.poll() is None for process in processes):
        if len(read_metrics(out / "metrics.csv")) > 4 and (out / "previous").exists():
            return processes
        time.sleep(0.02)
    for process in processes:
        process.kill()
    pytest.fail(f"they did not begin: {together.ended(processes)}")


def continues(data: Path, out: Path, patch: pytest.MonkeyPatch) -> None:
    together.in_float64(patch)
    saved = find_saved_state(out)
    assert saved is not None
    assert saved.step >= 2
    settings = {"val_split": "none", "steps": saved.step + 1, "resume": True}
    result = run.train(tiny.plain_config(data, out, **settings), Console(quiet=True))
    assert result.steps == saved.step + 1


@pytest.mark.parametrize("lost", [0, 1])
def test_the_others_of_a_killed_process_end_and_the_run_continues(
    data: Path, tmp_path: Path, lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = under_way(data, tmp_path / "run")
    processes[lost].kill()
    (_, _), (code, said) = sorted(together.ended(processes, 60))
    assert code == 2
    assert f"process {2 - lost} of 2 stopped: another process of the run ended" in said
    assert "Start the same command again to continue" in said
    continues(data, tmp_path / "run", monkeypatch)


def test_a_signal_to_one_process_stops_all_at_the_same_step(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = under_way(data, tmp_path / "run")
    processes[1].send_signal(signal.SIGTERM)
    (first, said), (second, silence) = together.ended(processes, 60)
    assert (first, second) == (128 + signal.SIGTERM, 0)
    assert "stopped by SIGTERM, saved after step" in said
    assert silence == ""
    continues(data, tmp_path / "run", monkeypatch)


def test_a_loss_that_is_not_finite_in_one_process_stops_all_with_its_images(
    data: Path, tmp_path: Path
) -> None:
    words = ("steps=6", "val_split=none", "nan_on_rank=1", "batch_size=4")
    answers = together.ended(together.start(2, "train", str(data), str(tmp_path / "run"), *words))
    (code, said), (other, silence) = answers
    assert (code, other) == (2, 0)
    assert "the loss is not finite at step 3, on the images " in said
    assert len(said.partition("on the images ")[2].partition(";")[0].split(", ")) == 2
    assert silence == ""


def launched(patch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        patch.setenv(name, value)


def test_processes_are_found_by_their_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configure("fcn32s", {"batch_size": 8})
    assert find_processes(config).count == 1
    with monkeypatch.context() as patch:
        for name, value in together.environment(3, 8, 1).items():
            patch.setenv(name, value)
        launched(patch, LOCAL_WORLD_SIZE="4")
        found = find_processes(config)
        assert (found.rank, found.devices, found.nodes, found.count) == (3, 4, 2, 8)
        with pytest.raises(ConfigError, match=r"got batch_size=6 for 8 processes, expected a mult"):
            find_processes(configure("fcn32s", {"batch_size": 6}))
        with pytest.raises(ConfigError, match=r"got devices=2, but 4 processes were started"):
            find_processes(configure("fcn32s", {"batch_size": 8, "devices": 2}))
    launched(
        monkeypatch, SLURM_NTASKS="4", SLURM_PROCID="3", SLURM_LOCALID="1", SLURM_NODEID="1",
        SLURM_JOB_NAME="train",
    )  # fmt: skip
    assert find_processes(config).count == 1, "reserved for four, but started without srun"
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    with pytest.raises(ConfigError, match=r"got --ntasks=4 of SLURM, expected --ntasks-per-node"):
        find_processes(config)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    found = find_processes(config)
    assert (found.rank, found.devices, found.nodes) == (3, 2, 2)


def test_the_folder_must_be_shared(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose an out= on a disk that all machines share"):
        joined_state(tiny.plain_config(data, tmp_path / "elsewhere"))
