"""Roles, counts, and starting a model from another."""

from __future__ import annotations

import pytest
import torch

from lookwider.errors import CheckpointError
from lookwider.models import create_model, initialise_from, parameter_roles


def small(name: str, **options: object):
    return create_model(name, backbone="resnet10t", num_classes=3, **options)


def test_roles():
    roles = parameter_roles(small("fcn8s"))
    assert {name for name, role in roles.items() if role == "new"} == {
        name for name in roles if name.startswith("heads.")
    }


def test_stage_by_stage():
    """FCN-16s begins as the 32s run: the new skip scores zero, so its logits are the 32s's."""
    torch.manual_seed(0)
    coarse = small("fcn32s", zero_scores=False, upsampling="interpolation").eval()
    finer = small("fcn16s", upsampling="interpolation").eval()
    left = initialise_from(finer, coarse)
    assert left == ["heads.main.score_skips.0.bias", "heads.main.score_skips.0.weight"]
    image = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        torch.testing.assert_close(
            finer.scores(image)["main"].scores[..., ::2, ::2], coarse.scores(image)["main"].scores
        )
    finest = small("fcn8s")
    left = initialise_from(finest, small("fcn16s"))
    assert left == [
        "heads.main.score_skips.1.bias",
        "heads.main.score_skips.1.weight",
        "heads.main.upscores.1.deconvolution.weight",
    ]


def test_another_trunk_or_other_classes():
    source = small("fcn32s")
    other_classes = create_model("fcn32s", backbone="resnet10t", num_classes=4)
    with pytest.raises(CheckpointError, match=r"score_fr.bias: got \(3,\), expected \(4,\)"):
        initialise_from(other_classes, source)
    other_trunk = create_model("fcn32s", backbone="resnet18", num_classes=3)
    with pytest.raises(CheckpointError, match=r"its trunk or classes differ: .* missing"):
        initialise_from(other_trunk, source)
