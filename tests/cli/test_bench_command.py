from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from lookwider import bench as package
from lookwider import create_model, save
from lookwider.bench import BenchResult, Comparison
from lookwider.bench.machine import Rates
from lookwider.bench.timing import Timing
from lookwider.cli import app
from lookwider.cli.bench import SIZE
from lookwider.demo.systems import BACKBONE, OPTIONS
from lookwider.demo.systems import SIZE as DEMO_SIZE
from lookwider.errors import ConfigError

SETTINGS: dict[str, Any] = {}


def measured(model: Any, **settings: Any) -> BenchResult:
    SETTINGS.clear()
    SETTINGS.update(settings, model=model)
    settings["tell"]("measuring [all] of it")
    return BenchResult(
        network="pspnet on resnet18",
        size=settings["size"],
        num_classes=model.num_classes,
        batch=settings["batch"],
        training_batch=None,
        dtype="float32",
        threads=2,
        rates=Rates(1e11, 1e10),
        comparisons=(
            Comparison("image to labels", Timing((0.01, 0.012)), Timing((0.03, 0.03)), 0.004),
            Comparison("read", Timing((0.001, 0.001)), Timing((0.001, 0.001))),
        ),
        difference=1e-6,
        agreement=1.0,
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "bench", measured)


def test_it_measures_the_demo_network_and_says_what_to_try() -> None:
    result = CliRunner().invoke(app, ["bench"])
    assert result.exit_code == 0, result.output
    assert "image to labels" in result.stdout
    assert "2.75 (2.50 to 3.00)" in result.stdout
    assert "100 GFLOP/s" in result.stdout
    assert "measuring" not in result.stdout
    assert "next: a network of the papers' size" in result.stderr
    assert SETTINGS["size"] == DEMO_SIZE
    assert SETTINGS["model"].architecture["backbone"] == BACKBONE
    for option, value in OPTIONS["pspnet"].items():
        assert SETTINGS["model"].architecture[option] == value


def test_options_reach_the_measurement_and_files_are_written(tmp_path: Path) -> None:
    words = ["fcn32s", "--backbone", "resnet18", "--classes", "5", "--size", "32x48"]
    words += ["--batch", "3", "--rounds", "2", "--threads", "1", "--dtype", "bfloat16"]
    words += ["--training", "--out", str(tmp_path / "b"), "--device", "cpu"]
    result = CliRunner().invoke(app, ["bench", *words])
    assert result.exit_code == 0, result.output
    assert SETTINGS["model"].num_classes == 5
    assert SETTINGS["dtype"] == torch.bfloat16
    names = ("size", "batch", "rounds", "threads", "training")
    assert [SETTINGS[name] for name in names] == [(32, 48), 3, 2, 1, True]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["bench.json", "bench.png"]
    assert "next: lookwider train fcn32s data=PATH out=runs/first" in result.stderr


def test_json_alone_is_on_standard_output() -> None:
    result = CliRunner().invoke(app, ["bench", "--json"])
    assert json.loads(result.stdout)["comparisons"][0]["work"] == "image to labels"


def test_a_run_is_followed_by_predicting_with_it(tmp_path: Path) -> None:
    folder = save(create_model("fcn32s", backbone="resnet18"), tmp_path / "my run")
    result = CliRunner().invoke(app, ["bench", str(folder)])
    assert result.exit_code == 0, result.output
    assert f"next: lookwider predict '{folder}' FILES_OR_FOLDER --out DIR" in result.stderr


def test_an_unknown_type() -> None:
    result = CliRunner().invoke(app, ["bench", "--dtype", "float64"])
    assert isinstance(result.exception, ConfigError)
    assert "unknown --dtype 'float64'" in str(result.exception)


def test_the_size_is_the_demo_s() -> None:
    assert f"{DEMO_SIZE[0]}x{DEMO_SIZE[1]}" == SIZE
