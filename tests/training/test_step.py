"""A whole training step, as it is computed here and in plain forms only."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from lookwider.data.sample import Batch
from lookwider.kernels import training_convolutions
from lookwider.kernels.switches import without
from lookwider.kernels.training_convolutions import trained_convolutions
from lookwider.models import create_model
from lookwider.training.recipes import configure
from lookwider.training.recomputing import recomputed_activations
from lookwider.training.task import SegmentationTask

NETWORKS = {
    "pspnet": {"backbone": "resnet26", "dropout": 0.0},
    "parsenet": {"backbone": "resnet18"},
    "fcn8s": {"backbone": "resnet18", "zero_scores": False},
}


@pytest.fixture(autouse=True)
def own_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use them on narrow layers too."""
    monkeypatch.setattr(training_convolutions, "POINTWISE_WEIGHTS", 512)
    widths = {torch.float64: 256, torch.float32: 256, torch.bfloat16: 256}
    monkeypatch.setattr(training_convolutions, "WIDE", widths)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: True)


def network(name: str, dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    model = create_model(name, num_classes=5, **NETWORKS[name]).train()
    return model.to(memory_format=torch.channels_last, dtype=dtype)


def step(name: str, model: nn.Module, *, plain: bool, bf16: bool = False) -> dict[str, Tensor]:
    """Return the loss, the gradients and the running statistics."""
    model = copy.deepcopy(model)
    torch.manual_seed(1)
    dtype = next(model.parameters()).dtype
    images = torch.randn(2, 3, 49, 64, dtype=dtype).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 5, (2, 49, 64))
    labels[:, :7] = 255
    task = SegmentationTask(model, configure(name), max_steps=1)
    forms = without() if plain else trained_convolutions(model)
    again = nullcontext() if plain else recomputed_activations(model.get_submodule("backbone"))
    with forms, again:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = task.loss(Batch(images, labels, ("a", "b")), 0)
        loss.backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **gradients, **dict(model.named_buffers())}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_step_is_the_plain_one(name):
    model = network(name, torch.float64)
    expected, found = step(name, model, plain=True), step(name, model, plain=False)
    assert found.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values() if value.numel())
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-8, atol=1e-9 * largest, msg=key)


def test_in_bfloat16_the_step_is_as_near_to_the_exact_one_as_the_plain_one():
    exact = step("pspnet", network("pspnet", torch.float64), plain=True)
    model = network("pspnet", torch.float32)
    apart = {}
    for plain in (True, False):
        found = step("pspnet", model, plain=plain, bf16=True)
        assert {t.dtype for t in found.values()} == {torch.float32, torch.int64}
        apart[plain] = {
            key: float((found[key] - value).norm() / value.norm().clamp_min(1e-9))
            for key, value in exact.items()
            if value.is_floating_point()
        }
    assert apart[False]["loss"] < 0.02
    middle = {plain: sorted(found.values())[len(found) // 2] for plain, found in apart.items()}
    assert middle[False] <= 1.2 * middle[True]
