"""A small model, and where it is saved."""

import pytest
import torch
from tests.weights.saved_models import make_model

from lookwider.classes import Classes, ClassMap
from lookwider.preprocessing import Preprocessing
from lookwider.weights import save


@pytest.fixture(scope="module")
def model():
    model = make_model(extra_classes={"geometric": Classes.named(["flat", "upright"])})
    model.class_map = ClassMap({0x0000FF: 1, 7: 2}, frozenset({255, 3}), "rgb")
    model.backbone.preprocessing = Preprocessing((1.5, 2, 3), (0.1, 2, 3), 1.0, "bgr")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "best"
    return save(model, folder, protocol={"lr": 1e-3}, scores={"iou": float("nan"), "n": (1, 2)})
