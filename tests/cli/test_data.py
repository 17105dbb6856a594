import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lookwider.cli.data import app
from lookwider.errors import ConfigError, LookwiderError


@pytest.fixture
def good(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for i in range(3):
        image = np.full((6, 8, 3), 40 * i, np.uint8)
        Image.fromarray(image).save(tmp_path / "set" / "images" / f"{i}.png")
        label = np.arange(48, dtype=np.uint8).reshape(6, 8) % 3
        Image.fromarray(label).save(tmp_path / "set" / "labels" / f"{i}.png")
    return tmp_path / "set"


def run(*arguments):
    result = CliRunner().invoke(app, ["check", *map(str, arguments)])
    if isinstance(result.exception, LookwiderError):
        raise result.exception
    return result


def test_usable(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(good)
    assert result.exit_code == 0, result.output
    for text in ("3 (2 train, 1 val)", "folder", "33.33%", '"values": [2]', "usable"):
        assert text in result.stdout
    assert f"next: lookwider train fcn8s data={good} out=runs/first" in result.stdout
    assert (tmp_path / "data-check" / "pictures.png").is_file()
    assert (tmp_path / "data-check" / "classes.json").is_file()


def test_unusable(good, tmp_path):
    (good / "images" / "1.png").write_bytes(b"")
    for i in range(30):
        (good / "images" / f"more{i}.png").touch()
    result = run(good, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "not usable yet" in result.stdout
    assert "(0 bytes)" in result.stdout
    assert "30 images without a label (left out)" in result.stdout
    assert "... and 10 more, all in the report" in result.stdout


def test_not_recognised(tmp_path):
    result = run(tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "no known layout" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none",), "no such folder or file"),
        (("--layout", "fodler"), "did you mean 'folder'"),
        (("--split", "trian"), "did you mean 'train'"),
    ],
)
def test_wrong_usage(good, tmp_path, arguments, message):
    first = (tmp_path / arguments[0],) if len(arguments) == 1 else (good, *arguments)
    with pytest.raises(ConfigError, match=message):
        run(*first, "--out", tmp_path / "out")


def test_a_broken_option():
    assert run("x", "--workers", "none").exit_code == 2


def test_json(good, tmp_path):
    result = run(good, "--json", "--out", tmp_path / "out")
    report = json.loads(result.stdout)
    assert (report["usable"], report["layout"]) == (True, "folder")
    assert [entry["images"] for entry in report["classes"]] == [3, 3, 3]


def test_names_that_look_like_markup(good, tmp_path):
    (good / "classes.txt").write_text("[red]a\n[/]b\nc\n")
    result = run(good, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "[red]a" in result.stdout
