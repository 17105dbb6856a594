"""`lookwider predict --workers N`: the same files, a manifest, and what does not go together."""

import json

import pytest
from tests.inference.bulk import small
from typer.testing import CliRunner

from lookwider.classes import Classes
from lookwider.cli import app
from lookwider.errors import ConfigError
from lookwider.inference.bulk import engines
from lookwider.inference.bulk.manifest import read_manifest
from lookwider.models import create_model
from lookwider.weights import save


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    model = create_model(
        "fcn32s", backbone="test_resnet", classes=Classes.named(["a", "b"]), zero_scores=False
    )
    return save(model.eval(), tmp_path_factory.mktemp("run") / "best").parent


@pytest.fixture
def folder(tmp_path):
    return small.pictures(tmp_path / "in", 6)


def call(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_the_files_of_one_process_and_a_manifest(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "LocalWorkers", small.InOneProcess)
    options = ("--probabilities", "--scales", "0.5,1", "--device", "cpu")
    one = call(run, folder, "--out", tmp_path / "one", *options)
    assert one.exit_code == 0, one.output
    many = call(run, folder, "--out", tmp_path / "many", *options, "--workers", 2, "--json")
    assert many.exit_code == 0, many.output
    assert len(json.loads(many.stdout)["written"]) == 6
    assert small.contents(tmp_path / "many") == small.contents(tmp_path / "one")
    assert len(read_manifest(tmp_path / "many" / "manifest.parquet")) == 6
    again = call(
        run, f"file://{folder}", folder / "001.png", "--out", tmp_path / "x", "--workers", 1
    )
    assert isinstance(again.exception, ConfigError)
    assert "2 images whose results would be called '001'" in str(again.exception)
    bucket = call(run, f"file://{folder}", "--out", tmp_path / "bucket", "--workers", 1)
    assert "6 of 6 images segmented" in bucket.stderr
    assert "manifest.parquet" in bucket.stderr


def test_ctrl_c_says_how_to_go_on(run, folder, tmp_path, monkeypatch):
    class Stopping(small.InOneProcess):
        def segment(self, batches):
            answers = super().segment(batches)
            yield next(answers)
            raise KeyboardInterrupt

    monkeypatch.setattr(engines, "LocalWorkers", Stopping)
    result = call(run, folder, "--out", tmp_path / "out", "--workers", 2)
    assert result.exit_code == 130
    assert "1 of 6 images segmented" in result.stderr
    assert "Go on with: the same command" in result.stderr
    monkeypatch.setattr(engines, "LocalWorkers", small.InOneProcess)
    result = call(run, folder, "--out", tmp_path / "out", "--workers", 2)
    assert "5 of 6 images segmented" in result.stderr
    assert "1 were there already" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["s3://bucket/a"], "got s3://bucket/a in one process, expected files and folders; add"),
        (["--address", "auto"], "got --address auto in one process; add --engine ray"),
        (["--engine", "spark"], "unknown engine 'spark'; known: local, ray"),
    ],
)
def test_what_needs_workers(run, folder, tmp_path, options, message):
    result = call(run, folder, "--out", tmp_path / "out", *options)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
