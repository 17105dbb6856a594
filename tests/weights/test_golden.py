"""Golden outputs: the same on every run, and different when anything matters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lookwider.errors import CheckpointError
from lookwider.models import create_model
from lookwider.preprocessing import CAFFE_VOC
from lookwider.weights import load, save
from lookwider.weights.description import describe
from lookwider.weights.golden import (
    PROBES,
    SIZE,
    TOLERANCE,
    golden_outputs,
    golden_picture,
    probe_places,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create_model(
        "fcn16s",
        backbone="test_resnet",
        num_classes=3,
        extra_classes={"geometric": 2},
        zero_scores=False,
    )


def test_the_picture_is_noise_of_all_values():
    picture = golden_picture(SIZE, 3)
    assert picture.shape == (*SIZE, 3)
    assert np.abs(np.bincount(picture.flatten(), minlength=256) - picture.size / 256).max() < 40
    assert picture.mean(axis=(0, 1)) == pytest.approx(127.5, abs=3)
    assert golden_picture(SIZE, 5).shape == (*SIZE, 5)


def test_probes_are_spread():
    places = probe_places(10_000).sort().values
    assert len(places) == PROBES
    assert places.diff().max() < 1000
    assert probe_places(1).tolist() == [0] * PROBES


def test_what_is_kept(model):
    golden = golden_outputs(model)
    assert golden == golden_outputs(model)
    assert list(golden.outputs) == ["features", "main", "geometric"]
    model.eval()
    with torch.no_grad():
        logits = model(model.preprocess(golden_picture(SIZE, 3)))
    main = golden.outputs["main"]
    assert main.shape == (1, 3, *SIZE)
    assert main.mean == pytest.approx(logits.mean().item(), rel=1e-5)
    assert main.std == pytest.approx(logits.std().item(), rel=1e-3)
    assert main.largest == logits.abs().max().item()
    assert main.probes == tuple(logits.double().flatten()[probe_places(logits.numel())].tolist())


def test_the_model_stays_as_it_was(model):
    model.train()
    model.backbone.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    golden_outputs(model)
    assert model.training
    assert not model.backbone.training
    assert model.heads["main"].training
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_anything_that_matters_shows(model):
    golden = golden_outputs(model)
    with torch.no_grad():
        model.heads["main"].score_fr.bias[1] += 0.01 * golden.outputs["main"].largest
    found = golden.differences(golden_outputs(model))
    assert found["features"] == found["geometric"] == 0
    assert found["main"] > 10 * TOLERANCE
    model.backbone.preprocessing = CAFFE_VOC
    assert all(d > 0.01 for d in golden.differences(golden_outputs(model)).values())
    del model.heads["geometric"]
    assert golden.differences(golden_outputs(model))["geometric"] == math.inf
    assert golden.differences(golden_outputs(model, size=(33, 33)))["main"] == math.inf


def test_differences_of_a_silent_output(model):
    """Untrained scores are zero everywhere: nothing to be relative to."""
    with torch.no_grad():
        for parameter in model.heads["main"].parameters():
            parameter.zero_()
    silent = golden_outputs(model).outputs["main"]
    assert silent.difference(silent) == 0
    with torch.no_grad():
        model.heads["main"].score_skips[0].bias += 0.25
    assert 0.1 < silent.difference(golden_outputs(model).outputs["main"]) <= 0.25


def test_other_weights_in_the_models_place(model, tmp_path):
    """What is stored with a running average is the average's, also in half precision."""
    average = {
        name: tensor * 0.5 if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    save(model, tmp_path / "a", state=average, golden=True)
    stored = describe(tmp_path / "a").golden
    assert max(stored.differences(golden_outputs(load(tmp_path / "a"))).values()) < 1e-6
    assert max(stored.differences(golden_outputs(model)).values()) > 0.01
    half = model.to(torch.bfloat16)
    save(half, tmp_path / "b", golden=True)
    found = golden_outputs(load(tmp_path / "b"))
    assert max(describe(tmp_path / "b").golden.differences(found).values()) < 1e-6


def test_without_being_asked_none_are_stored(model, tmp_path):
    save(model, tmp_path / "a")
    assert describe(tmp_path / "a").golden is None


def test_outputs_that_are_not_finite(model, tmp_path):
    with torch.no_grad():
        model.heads["geometric"].score_fr.bias[0] = math.inf
    with pytest.raises(CheckpointError, match="output 'geometric' is not finite on a picture of"):
        save(model, tmp_path / "a", golden=True)
    assert not (tmp_path / "a").exists()
