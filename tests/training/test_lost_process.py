"""A process of several is lost, told to stop, or computes nonsense: all end, none in silence."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.training import tiny, together
from tests.training.test_resume import assert_same_state

from lookwider.errors import ConfigError
from lookwider.training import collectives
from lookwider.training.checkpointing import SavedState, find_saved_state
from lookwider.training.collectives import MainFailedError, from_main, main_first
from lookwider.training.distributed import find_processes
from lookwider.training.recipes import configure
from lookwider.training.run_folder import check_shared

WORDS = ("steps=12", "val_every=6", "save_every=2", "log_every=1", "ema=0.5")


def pair(data: Path, out: Path, *words: str) -> list[tuple[int, str]]:
    """Train in two processes; return how each ended and all it said."""
    return together.ended(together.start(2, "train", str(data), str(out), *words))


def test_an_interrupted_run_is_continued_bit_for_bit(data: Path, tmp_path: Path) -> None:
    """The main process alone finds the state, puts the folders in order, and speaks of it."""
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert pair(data, whole, *WORDS, "fault=dropout")[1] == (0, "")

    (code, said), other = pair(data, out, *WORDS, "fault=told_to_stop")
    assert (code, other) == (128 + signal.SIGTERM, (0, ""))  # one was asked: all stop, one says it
    assert "stopped by SIGTERM, saved after step 4" in said

    (code, said), (other, heard) = pair(data, out, *WORDS, "fault=lost_main")
    assert (code, other) == (-signal.SIGKILL, 2)
    assert_lost(heard, "process 2 of 2 stopped")
    assert (out / ".next").is_dir()

    (code, said), (other, silence) = pair(data, out, *WORDS, "fault=lost_other")
    assert (code, other, silence) == (2, -signal.SIGKILL, "")
    assert said.count(f"continuing {out} from step 6 (last/)") == 1
    assert_lost(said, "process 1 of 2 stopped")

    damage(out / "last" / "training.safetensors")
    (code, said), other = pair(data, out, *WORDS, "fault=dropout")
    assert (code, other) == (0, (0, ""))
    assert said.count("skipped a damaged state: ") == 1
    assert said.count(f"continuing {out} from step 6 (previous/)") == 1
    assert_same_state(whole, out)


def assert_lost(said: str, whose: str) -> None:
    assert f"{whose}: another process of the run ended" in said
    assert "Start the same command again to continue" in said
    assert "(The connection said: " in said
    assert "GLHF" not in said


def damage(path: Path) -> None:
    """Change a bit of a file."""
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def test_a_loss_that_is_not_finite_in_one_process_stops_all_with_its_images(
    data: Path, tmp_path: Path
) -> None:
    words = ("steps=6", "val_split=none", "fault=not_finite", "batch_size=4")
    (code, said), (other, silence) = pair(data, tmp_path / "run", *words)
    assert (code, other) == (2, 0)
    assert "the loss is not finite at step 3, on the images " in said
    assert len(said.partition("on the images ")[2].partition(";")[0].split(", ")) == 2
    assert silence == ""


def test_a_full_disk_ends_all_and_the_state_before_is_intact(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("steps=6", "val_split=none", "save_every=2", "fault=full_disk")
    (code, said), (other, heard) = pair(data, out, *words)
    assert (code, other) == (2, 2)
    assert "the disk is full" in said
    assert "the states saved before are intact" in said
    assert "process 2 of 2 stopped: another process of the run ended" in heard
    assert not (out / ".next").exists()
    saved = find_saved_state(out)
    assert saved is not None
    assert (saved.folder.name, saved.step, saved.refused) == ("last", 2, ())


def test_when_the_main_process_cannot_begin_it_alone_says_why(data: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("precious")
    (code, said), (other, silence) = pair(data, tmp_path / "photos", *WORDS)
    assert (code, other) == (2, 2)
    assert "holds no config.json but is not empty" in said
    assert silence == ""


def test_others_take_what_the_main_process_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(sent: list[object]) -> None:
        sent[0] = answer

    monkeypatch.setattr(collectives, "process_count", lambda: 2)
    monkeypatch.setattr(collectives, "process_rank", lambda: 1)
    monkeypatch.setattr("torch.distributed.broadcast_object_list", receive)
    answer: tuple[object] | None = (None,)
    assert from_main(lambda: pytest.fail("looked itself")) is None
    assert main_first(lambda: "found here too") == "found here too"
    answer = None
    for find in (from_main, main_first):
        with pytest.raises(MainFailedError, match="the first process of the run failed; its own"):
            find(lambda: pytest.fail("looked itself"))


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


def test_several_devices_need_a_launcher() -> None:
    config = configure("fcn32s", {"batch_size": 8, "devices": 2})
    with pytest.raises(ConfigError, match=r"got devices=2, but this is one process; the command "):
        find_processes(config)


def test_the_folder_must_be_shared(data: Path, tmp_path: Path) -> None:
    config = tiny.plain_config(data, tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="choose an out= on a disk that all machines share"):
        check_shared(config, None)
    config.out.mkdir()
    (config.out / "config.json").touch()
    check_shared(config, None)
    saved = SavedState(config.out / "last", 3, ())
    with pytest.raises(ConfigError, match=r"last/training\.json: the main process has it"):
        check_shared(config, saved)
