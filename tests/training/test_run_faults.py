"""What a run must not touch, and how it ends when something is wrong."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.training import tiny

from lookwider.errors import ConfigError, DataError
from lookwider.training.run_folder import read_config
from lookwider.training.task import NonFiniteError, SegmentationTask


def test_folders_that_are_not_a_run(data: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"holds no config\.json but is not empty; choose"):
        tiny.train(tiny.plain_config(data, tmp_path / "photos"))
    config = tiny.plain_config(data, tmp_path / "run", steps=2, val_split="none")
    tiny.train(config)
    with pytest.raises(ConfigError, match="holds a run already and resume=false"):
        tiny.train(config.model_copy(update={"resume": False}))
    (config.out / "config.json").write_text("[1]")
    with pytest.raises(ConfigError, match="got a list, expected an object"):
        tiny.train(config)
    (config.out / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        tiny.train(config)


def test_a_run_that_saved_nothing_begins_again(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny.plain_config(data, tmp_path / "run", steps=2, val_split="none")
    with pytest.raises(ConfigError, match="take a smaller crop_size"):
        tiny.train(config.model_copy(update={"crop_size": (512, 512)}))
    said = "nothing was saved yet, beginning at step 0"
    assert said in tiny.said(config, capsys)
    assert read_config(config.out).crop_size == config.crop_size


def test_data_that_is_not_there_leaves_no_folder(tmp_path: Path) -> None:
    config = tiny.plain_config(tmp_path / "no", tmp_path / "run")
    with pytest.raises(DataError, match="no"):
        tiny.train(config)
    assert not config.out.exists()


def test_non_finite_loss_stops_with_names_and_keeps_the_last_state(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.plain_config(data, tmp_path / "run", val_split="none", save_every=2)
    original = SegmentationTask.loss

    def poisoned(self: SegmentationTask, batch: Any, batch_idx: int) -> torch.Tensor:
        return original(self, batch, batch_idx) * (float("nan") if batch_idx == 4 else 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "loss", poisoned)
        with pytest.raises(
            NonFiniteError,
            match=r"the loss is not finite at step 4, on the images \w+, \w+; .*lower base_lr",
        ):
            tiny.train(config)
    kept = load_file(config.out / "last" / "model.safetensors")
    assert all(bool(t.isfinite().all()) for t in kept.values() if t.is_floating_point())
    assert tiny.train(config).steps == 6


def test_non_finite_gradient(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = SegmentationTask.loss

    def steep(self: SegmentationTask, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = original(self, batch, batch_idx)
        return loss + (loss - loss.detach()) * float("inf") if batch_idx == 1 else loss

    monkeypatch.setattr(SegmentationTask, "loss", steep)
    config = tiny.plain_config(data, tmp_path / "run", val_split="none")
    with pytest.raises(NonFiniteError, match=r"not finite at step 1"):
        tiny.train(config)


def test_damaged_image_is_named_without_a_workers_traceback(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    for path in sorted((broken / "train").iterdir())[1:]:
        path.write_bytes(b"not an image")
    config = tiny.plain_config(broken, tmp_path / "run", workers=1, val_split="none")
    with pytest.raises(DataError) as caught:
        tiny.train(config)
    assert "not an image that can be read" in str(caught.value)
    assert "Traceback" not in str(caught.value)
