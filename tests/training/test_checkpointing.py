import errno
import json
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from rich.console import Console
from tests.training import tiny

from lookwider.errors import CheckpointError
from lookwider.models import create_model
from lookwider.training import run
from lookwider.training.checkpointing import (
    FolderCheckpoints,
    SaveOptions,
    find_saved_state,
    read_training_state,
    rotate,
)
from lookwider.weights import checkpoint as weights
from lookwider.weights.checkpoint import load


@pytest.fixture
def plugin() -> FolderCheckpoints:
    torch.manual_seed(0)
    return FolderCheckpoints(create_model("fcn32s", backbone="test_efficientnet", num_classes=3))


def state_of(plugin: FolderCheckpoints, step: int) -> dict[str, Any]:
    return {
        "global_step": step,
        "state_dict": {f"model.{k}": v for k, v in plugin.model.state_dict().items()},
        "loops": {"fit_loop": {"epoch_loop.batch_progress": {"is_last_batch": True}}},
        "optimizer_states": [{"state": {0: {"momentum_buffer": torch.randn(2, 3)}}}],
    }


def write(plugin: FolderCheckpoints, folder: Path, step: int) -> None:
    plugin.save_checkpoint(state_of(plugin, step), folder / ".next")
    rotate(folder)


def test_a_state_is_a_checkpoint_and_comes_back(plugin: FolderCheckpoints, tmp_path: Path) -> None:
    state = state_of(plugin, 7)
    plugin.save_checkpoint(state, tmp_path / "last", SaveOptions(True, {"steps": 9}, {"iou": 0.5}))
    back = plugin.load_checkpoint(tmp_path / "last")
    assert back["global_step"] == 7
    for name, tensor in state["state_dict"].items():
        assert torch.equal(back["state_dict"][name], tensor)
    buffer = back["optimizer_states"][0]["state"][0]["momentum_buffer"]
    assert torch.equal(buffer, state["optimizer_states"][0]["state"][0]["momentum_buffer"])
    model = load(tmp_path / "last")
    assert model.num_classes == 3
    description = json.loads((tmp_path / "last" / "lookwider.json").read_text())
    assert (description["protocol"], description["scores"]) == ({"steps": 9}, {"iou": 0.5})
    assert {p.suffix for p in (tmp_path / "last").iterdir()} == {".json", ".safetensors"}
    plugin.remove_checkpoint(tmp_path / "last")
    assert not (tmp_path / "last").exists()


def test_only_the_model_without_training(plugin: FolderCheckpoints, tmp_path: Path) -> None:
    plugin.save_checkpoint(state_of(plugin, 1), tmp_path / "best", SaveOptions(training=False))
    assert {p.name for p in (tmp_path / "best").iterdir()} == {
        "lookwider.json",
        "model.safetensors",
    }
    with pytest.raises(CheckpointError, match=r"holds no training\.safetensors"):
        read_training_state(tmp_path / "best")


def test_rotation_survives_every_place_it_can_be_killed_at(
    plugin: FolderCheckpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    for renames in range(4):
        folder = tmp_path / str(renames)
        folder.mkdir()
        for step in (1, 2):
            write(plugin, folder, step)
        plugin.save_checkpoint(state_of(plugin, 3), folder / ".next")
        left = renames

        def replace(self: Path, target: Path) -> Path:
            nonlocal left
            if left == 0:
                raise KilledError
            left -= 1
            self.rename(target)
            return target

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            if renames < 3:
                with pytest.raises(KilledError):
                    rotate(folder)
            else:
                rotate(folder)
        saved = find_saved_state(folder)
        assert saved is not None
        assert (saved.folder.name, saved.step) == ("last", 3)
        assert not (folder / ".next").exists()
        write(plugin, folder, 4)
        shutil.rmtree(folder / "last")
        before = find_saved_state(folder)
        assert before is not None
        assert (before.folder.name, before.step) == ("previous", 3)


def test_nothing_saved(tmp_path: Path) -> None:
    assert find_saved_state(tmp_path) is None


def test_every_damage_is_found_and_all_damaged_is_an_error(
    plugin: FolderCheckpoints, tmp_path: Path
) -> None:
    write(plugin, tmp_path, 1)
    write(plugin, tmp_path, 2)
    for name in ("training.safetensors", "training.json", "model.safetensors", "lookwider.json"):
        path = tmp_path / "last" / name
        whole = path.read_bytes()
        for damaged in (whole[: len(whole) // 2], b"", whole[:-9] + b"x" + whole[-8:]):
            path.write_bytes(damaged)
            saved = find_saved_state(tmp_path)
            assert saved is not None
            assert saved.step == 1
            assert len(saved.refused) == 1
            assert name in saved.refused[0]
        path.write_bytes(whole)
    for name in ("last", "previous"):
        (tmp_path / name / "training.json").unlink()
    with pytest.raises(CheckpointError, match="no saved state of the run can be read; begin again"):
        find_saved_state(tmp_path)


def test_newer_format(plugin: FolderCheckpoints, tmp_path: Path) -> None:
    def extra(folder: Path) -> None:
        (folder / "training.json").write_text('{"format": 2, "state": {}}')
        (folder / "training.safetensors").write_bytes(b"")

    weights.save(plugin.model, tmp_path / "last", extra=extra)
    with pytest.raises(CheckpointError, match=r"training\.json: got format 2, expected 1"):
        read_training_state(tmp_path / "last")


def test_full_disk_leaves_the_last_state(
    plugin: FolderCheckpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(plugin, tmp_path, 1)

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lookwider.training.checkpointing.save_file", no_space)
    with pytest.raises(CheckpointError, match=r"the disk is full .* intact: free space and run"):
        plugin.save_checkpoint(state_of(plugin, 2), tmp_path / ".next")
    assert [p.name for p in tmp_path.iterdir()] == ["last"]
    saved = find_saved_state(tmp_path)
    assert saved is not None
    assert saved.step == 1


def test_file_size_limit_stops_a_real_run_and_it_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel refuses the bytes; the state before is whole and the run goes on from it."""
    config = tiny.tiny_config(
        tiny.make_data(tmp_path / "data"), tmp_path / "run", steps=4, save_every=2, val_split="none"
    )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    original = run.KeepRun.save

    def limited(self: run.KeepRun, trainer: Trainer) -> None:
        if trainer.global_step == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
        original(self, trainer)

    with monkeypatch.context() as patch:
        patch.setattr(run.KeepRun, "save", limited)
        try:
            with pytest.raises(CheckpointError, match="the disk is full"):
                run.train(config, Console(quiet=True))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    saved = find_saved_state(config.out)
    assert saved is not None
    assert saved.step == 2
    assert run.train(config, Console(quiet=True)).steps == 4


def test_no_pickle_is_imported_by_saved_files(plugin: FolderCheckpoints, tmp_path: Path) -> None:
    write(plugin, tmp_path, 1)
    for path in (tmp_path / "last").iterdir():
        assert b"torch._utils" not in path.read_bytes()
