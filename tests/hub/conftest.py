"""A Hub on this machine, and a small run to share."""

import json

import huggingface_hub.constants
import pytest
import torch
from tests.hub.hub_server import serving

import lookwider as lw
from lookwider.weights import hub_files
from lookwider.weights.description import describe


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return a Hub that huggingface_hub takes for the real one, with an empty cache."""
    constants = huggingface_hub.constants
    with serving() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr("huggingface_hub.hf_api.ENDPOINT", hub.url, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", "a-token")
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        hub_files.fetch.cache_clear()
        yield hub
        hub_files.fetch.cache_clear()


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Return a run as training and evaluation leave it, of a network that is not trained."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    torch.manual_seed(0)
    classes = lw.Classes.named(["sky", "sea | lake", "<b>boat</b>"])
    model = lw.create_model("fcn32s", backbone="test_resnet", classes=classes)
    config = {"data": str(folder.parent / "photos"), "split": "train", "steps": 60, "seed": 0}
    best = lw.save(
        model,
        folder / "best",
        protocol={"config": config, "training_images": 12},
        scores={"step": 50},
        golden=True,
    )
    evaluation = folder / "evaluation" / "test"
    evaluation.mkdir(parents=True)
    content = {
        "mean_iou": 0.25,
        "pixel_accuracy": 0.5,
        "convention": "fcn",
        "num_classes": 3,
        "classes_present": 2,
        "classes": {
            "sky": {"iou": 0.5, "accuracy": 0.75, "share": 0.625},
            "sea | lake": {"iou": 0.0, "accuracy": 0.0, "share": 0.375},
            "<b>boat</b>": {"iou": None, "accuracy": None, "share": 0.0},
        },
        "confusion": [[4, 1, 0], [3, 0, 0], [0, 0, 0]],
        "images": [{"name": "one"}, {"name": "two"}],
        "protocol": {
            "sha256": describe(best).sha256["model.safetensors"],
            "data": str(folder.parent / "photos"),
            "images": "whole, one scale, not flipped",
        },
    }
    (evaluation / "evaluation.json").write_text(json.dumps(content))
    (evaluation / "confusion.png").write_bytes(b"a picture")
    return folder
