"""Verifying a checkpoint: files by hash, outputs by what was stored."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from lookwider.errors import CheckpointError
from lookwider.models import create_model
from lookwider.weights import save, verification
from lookwider.weights.description import own_hash
from lookwider.weights.verification import verify


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(0)
    model = create_model("fcn32s", backbone="test_resnet", num_classes=3, zero_scores=False)
    return save(model, tmp_path_factory.mktemp("run") / "best", golden=True)


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def change_golden(folder, change):
    """Change the golden outputs and sign the description again."""
    path = folder / "lookwider.json"
    content = json.loads(path.read_text())
    change(content["golden"])
    content["sha256"]["lookwider.json"] = own_hash(content)
    path.write_text(json.dumps(content))


def test_a_good_checkpoint(saved):
    result = verify(saved.parent)
    assert result.good
    assert result.folder == saved
    assert result.files == {"lookwider.json": None, "model.safetensors": None}
    assert result.differences.keys() == {"features", "main"}
    assert result.worst < 1e-6
    assert json.loads(json.dumps(result.to_json()))["good"] is True


def test_without_golden_outputs(tmp_path):
    model = create_model("fcn32s", backbone="test_resnet", num_classes=3)
    result = verify(save(model, tmp_path / "a"))
    assert result.good
    assert result.differences == {}
    assert result.worst is None
    assert result.to_json()["worst"] is None


def test_damaged_and_missing_files_are_all_told(copy):
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    result = verify(copy)
    assert not result.good
    assert "damaged or truncated" in result.files["model.safetensors"]
    assert result.differences is None
    (copy / "model.safetensors").unlink()
    assert "missing" in verify(copy).files["model.safetensors"]
    path = copy / "lookwider.json"
    path.write_text(path.read_text().replace("class 0", "class x"))
    assert "does not match its own hash" in verify(copy).files["lookwider.json"]


def test_another_network_under_the_same_hashes(copy):
    change_golden(copy, lambda golden: golden["outputs"]["main"].update(mean=1e3))
    result = verify(copy)
    assert not any(result.files.values())
    assert not result.good
    assert result.worst == result.differences["main"] > 1
    assert result.differences["features"] < 1e-6
    change_golden(copy, lambda golden: golden["outputs"]["main"].update(shape=[1]))
    plain = verify(copy).to_json()
    assert plain["good"] is False
    assert plain["golden"]["main"] is None
    assert plain["worst"] is None


def test_a_network_that_cannot_be_run(copy):
    path = copy / "lookwider.json"
    content = json.loads(path.read_text())
    content["architecture"]["backbone"] = "no_such_trunk"
    content["sha256"]["lookwider.json"] = own_hash(content)
    path.write_text(json.dumps(content))
    result = verify(copy)
    assert not result.good
    assert "its architecture cannot be built" in result.problem


def test_a_hostile_size_is_refused(copy):
    change_golden(copy, lambda golden: golden.update(size=[100_000, 100_000]))
    assert "golden.size.0: Input should be less than or equal to 1024" in str(
        verify(copy).files["lookwider.json"]
    )


def test_the_tolerance_decides(saved, monkeypatch):
    result = verify(saved)
    object.__setattr__(result, "differences", {"main": 1.1e-4})
    assert not result.good
    monkeypatch.setattr(verification, "TOLERANCE", 1e-3)
    assert result.good


def test_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no lookwider\.json"):
        verify(tmp_path)
