"""Runs to report on: made-up figures, and networks with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lookwider.classes import Classes
from lookwider.data.scenes import SCENE_CLASSES
from lookwider.evaluation import ClassScores, Evaluation
from lookwider.evaluation.result import ImageScore
from lookwider.models import create_model
from lookwider.report import Gallery, RunReport, Shown
from lookwider.training.recipes import configure
from lookwider.weights import save

NAMES = ("sky", "<b>sea</b> & 'shore'", "never seen")
SCENES = "scenes:count=3,size=32x48"

RunMaker = Callable[..., RunReport]


@pytest.fixture
def make_run(tmp_path: Path) -> RunMaker:
    """Return a function that makes a run of figures; ``right`` pixels of sky are right."""

    def make(name: str = "first", right: int = 60, **changes: object) -> RunReport:
        settings = {"steps": 20, "data": "photos & more", "out": tmp_path / name}
        counts = torch.tensor([[right, 80 - right, 0], [5, 15, 0], [0, 0, 0]])
        protocol = {
            "data": "photos",
            "split": "test",
            "note": "</code><script>alert(1)</script>",
        }
        values = {
            "name": name,
            "folder": tmp_path / name,
            "model": "fcn32s on vgg16",
            "parameters": 1234567,
            "evaluation": Evaluation(
                ClassScores(Classes.named(NAMES), counts),
                {},
                (ImageScore("a<i>1", 0.25, 0.5),),
                (),
                2.0,
                protocol,
            ),
            "config": configure("fcn32s", settings),
            "rows": (
                row(step=10, loss=3.0, seconds=15),
                row(step=20, loss=1.25, seconds=30),
                row(step=20, val_mean_iou=0.375, seconds=33),
            ),
        }
        return RunReport(**(values | changes))

    return make


def row(**values: float) -> dict[str, str]:
    """Return a row of a metrics.csv."""
    return {"loss": "", "val_mean_iou": ""} | {name: str(value) for name, value in values.items()}


@pytest.fixture
def gallery() -> Callable[..., Gallery]:
    """Return a function that makes a gallery for so many runs."""

    def make(runs: int = 1, size: tuple[int, int] = (2, 3)) -> Gallery:
        label = np.zeros(size, np.uint8)
        label[0, 1], label[-1, -1] = 1, 255
        shown = Shown(
            "a<i>1", np.full((*size, 3), 90, np.uint8), label,
            (np.zeros(size, np.uint8),) * runs, "mean IoU 25.0 %",
        )  # fmt: skip
        return Gallery("Mine", "One.", (shown,))

    return make


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Return the folders of an FCN, a ParseNet and a PSPNet with random weights."""
    folder = tmp_path_factory.mktemp("runs")
    made = []
    for number, name in enumerate(("fcn32s", "parsenet", "pspnet")):
        torch.manual_seed(number)
        options = {} if name == "fcn32s" else {"output_stride": 32}
        model = create_model(name, backbone="test_resnet", classes=SCENE_CLASSES, **options)
        run = folder / name / "seed0"
        save(model, run / "best")
        config = configure(name, {"steps": 5, "data": SCENES, "out": str(run)})
        (run / "config.json").write_text(config.model_dump_json(exclude={"resume"}))
        (run / "metrics.csv").write_text("step,loss,val_mean_iou,seconds\n5,2.5,,1.5\n5,,0.1,2\n")
        made.append(run)
    return tuple(made)
