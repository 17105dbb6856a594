"""``lookwider verify``: exit codes, lines and JSON."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from lookwider.cli import app
from lookwider.errors import CheckpointError
from lookwider.models import create_model
from lookwider.weights import save
from lookwider.weights.description import own_hash


def call(*arguments):
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = create_model("fcn32s", backbone="test_resnet", num_classes=3, zero_scores=False)
    return save(model, tmp_path / "run" / "best", golden=True)


def test_good(saved):
    result = call(saved.parent)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "lookwider.json: as it was written",
        "model.safetensors: as it was written",
        "output features: differs by 0.0e+00 of its largest value",
        "output main: differs by 0.0e+00 of its largest value",
        "worst difference 0.0e+00, within the tolerance of 1e-04",
        "good",
    ]
    content = json.loads(call(saved, "--json").stdout)
    assert content["good"] is True
    assert content["worst"] == max(content["golden"].values()) <= content["tolerance"]


def test_nothing_to_compare_with(tmp_path):
    model = create_model("fcn32s", backbone="test_resnet", num_classes=3)
    result = call(save(model, tmp_path / "a"))
    assert result.exit_code == 0
    assert "no golden outputs in it: only the files were compared" in result.stdout


def test_damaged(saved):
    with (saved / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    result = call(saved)
    assert result.exit_code == 1
    assert "model.safetensors: " in result.stdout
    assert "damaged or truncated" in result.stdout
    assert result.stdout.splitlines()[-1] == "NOT GOOD"
    result = call(saved, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["good"] is False


def sign(folder, change):
    path = folder / "lookwider.json"
    content = json.loads(path.read_text())
    change(content)
    content["sha256"]["lookwider.json"] = own_hash(content)
    path.write_text(json.dumps(content))


def test_other_outputs(saved):
    sign(saved, lambda content: content["golden"]["outputs"]["main"].update(std=1e3))
    result = call(saved)
    assert result.exit_code == 1
    assert "beyond the tolerance of 1e-04" in result.stdout


def test_a_network_that_cannot_be_built(saved):
    sign(saved, lambda content: content["architecture"].update(backbone="no_such_trunk"))
    result = call(saved)
    assert result.exit_code == 1
    assert "the network could not be run: " in result.stdout


def test_no_checkpoint(tmp_path):
    assert isinstance(call(tmp_path).exception, CheckpointError)
