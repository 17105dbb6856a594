"""``lookwider export``: what it prints, JSON, and its own mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lookwider.cli import app
from lookwider.cli.export import _name
from lookwider.errors import ConfigError
from lookwider.models import create_model
from lookwider.weights import save

ONE_SIZE = ("--fixed", "--size", "16x24")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runs") / "street"
    model = create_model(
        "fcn16s", backbone="test_efficientnet", num_classes=3, zero_scores=False
    ).eval()
    save(model, folder / "best")
    return folder


def call(*words):
    return CliRunner().invoke(app, ["export", *map(str, words)])


def test_what_is_printed(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(run, "--format", "torchscript", *ONE_SIZE)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("PyTorch and TorchScript of PyTorch")
    assert result.stdout.count("16x24") == 3
    assert re.search(
        r"^worst difference \S+ of the largest logit, 100 % of the", result.stdout, re.M
    )
    assert "note: PyTorch has deprecated TorchScript" in result.stdout
    assert "written: street.pt, with its certificate" in result.stderr
    assert re.search(r"^next: python -c .* street\.pt$", result.stderr, re.M)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "street.pt",
        "street.pt.certificate.json",
    ]
    again = call(run, "--format", "torchscript", *ONE_SIZE)
    assert isinstance(again.exception, ConfigError)
    assert "street.pt exists; use another name, or force (--force)" in str(again.exception)


def test_json_of_labels(run, tmp_path):
    target = tmp_path / "net"
    words = ("--labels", "--preprocess", "--json", "--out", target)
    result = call(run, "--format", "torchscript", *ONE_SIZE, *words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["passed"] is True
    assert found["worst"] is None
    assert found["options"]["labels"] is True
    assert list(found["files"]) == ["net.pt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "onyx"), "unknown format 'onyx'; did you mean 'onnx'"),
        (("--fixed", "--size", "16"), "got --size 16, expected HEIGHTxWIDTH, e.g. 480x640"),
        (("--size", "16x16"), "of a dynamic export; use dynamic=False"),
    ],
)
def test_mistakes(run, words, message):
    with pytest.raises(ConfigError, match=message):
        raise call(run, *words).exception


def test_a_file_is_called_as_its_run():
    assert _name(Path("runs/a"), Path("runs/a/best")) == "a"
    assert _name(Path("runs/a/last"), Path("runs/a/last")) == "a"
    assert _name(Path("models/fcn8s"), Path("models/fcn8s")) == "fcn8s"
