"""Roles, counts, and starting a model from another."""

from __future__ import annotations

import pytest
import torch

from lookwider.errors import CheckpointError
from lookwider.models import create_model, initialise_from, parameter_roles
from lookwider.preprocessing import CAFFE_VOC


def small(name: str, **options: object):
    return create_model(name, backbone="resnet10t", num_classes=3, **options)


def test_roles():
    roles = parameter_roles(small("fcn8s"))
    assert {name for name, role in roles.items() if role == "new"} == {
        name for name in roles if name.startswith("heads.") and "deconvolution" not in name
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


def test_another_trunk():
    other_trunk = create_model("fcn32s", backbone="resnet18", num_classes=3)
    with pytest.raises(CheckpointError, match=r"its trunk or heads differ: .* missing"):
        initialise_from(other_trunk, small("fcn32s"))


def test_other_classes_keep_their_scores_and_take_the_rest():
    torch.manual_seed(0)
    source = small("fcn16s", zero_scores=False, extra_classes={"geometric": 2})
    other = create_model(
        "fcn16s", backbone="resnet10t", num_classes=4, extra_classes={"geometric": 2}
    )
    left = initialise_from(other, source)
    assert left == [
        "heads.main.score_fr.bias",
        "heads.main.score_fr.weight",
        "heads.main.score_skips.0.bias",
        "heads.main.score_skips.0.weight",
        "heads.main.upscores.0.deconvolution.weight",
    ]
    ours, theirs = other.state_dict(), source.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name not in left)
    assert not any(ours[name].any() for name in left[:4])


def test_a_head_of_another_width_is_not_taken_for_other_classes():
    source = small("fcn32s")
    other = small("fcn32s")
    other.heads["main"].score_fr = torch.nn.Conv2d(7, 3, 1)
    with pytest.raises(CheckpointError, match=r"score_fr.weight: got \(3, 512, 1, 1\), expected"):
        initialise_from(other, source)


def test_what_the_weights_expect_of_an_image_comes_along():
    source, model = small("fcn32s"), small("fcn16s")
    source.backbone.preprocessing = CAFFE_VOC
    initialise_from(model, source)
    assert model.preprocessing == CAFFE_VOC


def test_weights_that_fit_and_mean_something_else_are_refused():
    def net(**options: object):
        return create_model("pspnet", backbone="resnet18", num_classes=3, **options)

    source = net(bins=(3, 2, 1), aux=False)
    with pytest.raises(CheckpointError, match=r"trained with bins=3,2,1, got bins=1,2,3; give bi"):
        initialise_from(net(bins=(1, 2, 3), aux=False), source)
    left = initialise_from(net(bins=(3, 2, 1)), source)
    assert all(name.startswith("heads.aux.") for name in left)
