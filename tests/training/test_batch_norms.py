"""Norms over several processes; that they compute as one process is in test_two_processes.py."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from lookwider.models import create_model
from lookwider.training.batch_norms import ProcessorBatchNorm, SyncBatchNorms


@pytest.mark.parametrize("gpu", [True, False])
def test_synchronised_norms_compute_and_save_the_same(gpu: bool) -> None:
    torch.manual_seed(0)
    model = create_model("fcn32s", backbone="test_efficientnet", num_classes=3, zero_scores=False)
    model.eval()
    images = torch.randn(1, 3, 64, 64)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = model(images)
    plugin = SyncBatchNorms(gpu=gpu)
    plugin.apply(model)
    kind = nn.SyncBatchNorm if gpu else ProcessorBatchNorm
    assert any(isinstance(module, kind) for module in model.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert torch.equal(model(images), before)
    assert model.state_dict().keys() == state.keys()
    assert plugin.revert(model) is model


def test_alone_a_norm_is_the_usual_one() -> None:
    torch.manual_seed(0)
    maps, norm = torch.randn(3, 4, 5, 6), nn.BatchNorm2d(4)
    other = ProcessorBatchNorm(copy.deepcopy(norm))
    assert torch.equal(other(maps), norm(maps))
    assert torch.equal(other.running_var, norm.running_var)
    assert int(other.num_batches_tracked) == 1
