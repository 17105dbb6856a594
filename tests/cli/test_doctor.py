import json
import sys

import pytest
from typer.testing import CliRunner

from lookwider.cli import app
from lookwider.environment import check
from lookwider.environment.speed import Speed


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(check, "measure_speed", lambda device: Speed(0.01, 1e-6, 0.5))


def test_the_table(measured, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    for name in ("Python", "libraries", "devices", "processors", "memory", "disk", "bfloat16"):
        assert name in result.stdout
    assert "good: nothing is broken" in result.stdout
    assert "next: lookwider demo" in result.stderr


def test_json(measured):
    result = CliRunner().invoke(app, ["doctor", "--json"])
    content = json.loads(result.stdout)
    assert content["good"]
    assert content["speed"]["forward"] == 0.01
    assert content["limits"]["useful_threads"] >= 1
    assert {"torch", "timm"} <= content["versions"].keys()


def test_something_broken(monkeypatch):
    monkeypatch.setattr(check, "measure_speed", lambda device: Speed(0.01, 0.5, 0.5))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "BROKEN" in result.stdout
    assert "next: mend what is marked BROKEN" in result.stderr
    assert not json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)["good"]


def test_libraries_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "lookwider.environment", None)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "BROKEN  libraries  cannot be imported" in result.stdout
    content = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert content["findings"][0]["state"] == "broken"
