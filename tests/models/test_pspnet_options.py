"""Every switch of PSPNet, and that it takes any size, trains and is stored."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lookwider import load, save
from lookwider.context import PyramidContext
from lookwider.errors import ConfigError, LookwiderError
from lookwider.models import create_model


def test_the_auxiliary_head_is_gone_at_test_and_absent_on_request():
    model = create_model("pspnet", backbone="resnet18", num_classes=4, extra_classes={"geo": 3})
    images = torch.randn(2, 3, 33, 47)
    assert list(model.train().scores(images)) == ["main", "geo", "aux"]
    assert list(model.eval().scores(images)) == ["main", "geo"]
    bare = create_model("pspnet", backbone="resnet18", aux=False)
    assert list(bare.heads) == ["main"]
    assert bare.backbone.layers == ("layer4",)


def test_the_trunk_ends_with_the_pyramids_layer():
    model = create_model("pspnet", backbone="resnet18", num_classes=4, layer="layer2", hidden=48)
    assert model.heads["main"].score.in_channels == 48
    assert model.backbone.layers == ("layer1", "layer2")
    assert model.backbone.grids[-1].stride == 8
    assert not [name for name, _ in model.named_parameters() if "layer3" in name]
    assert model.eval()(torch.randn(1, 3, 33, 47)).shape == (1, 4, 33, 47)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("reduce", [True, False])
@pytest.mark.parametrize("bins", [(1,), (1, 2, 3, 6), ()])
def test_every_row_of_table_1_is_an_option(pooling, reduce, bins):
    model = create_model(
        "pspnet", backbone="resnet18", num_classes=2, bins=bins, pooling=pooling, reduce=reduce
    ).eval()
    extra = 512 if reduce and bins else 512 * len(bins)
    assert model.context.channels[-1] == 512 + extra
    with torch.no_grad():
        assert model(torch.randn(1, 3, 30, 41)).shape == (1, 2, 30, 41)


@pytest.mark.parametrize("norm", ["group", "none"])
def test_one_image_per_step_trains_without_batch_normalised_averages(norm):
    model = create_model("pspnet", backbone="resnet18", norm=norm).train()
    loss = functional.cross_entropy(model(torch.randn(1, 3, 40, 40)), torch.zeros(1, 40, 40).long())
    loss.backward()
    assert all(p.grad is not None for p in model.context.parameters())


def test_one_image_per_step_with_batch_normalisation_is_refused_with_advice():
    model = create_model("pspnet", backbone="resnet18").train()
    with pytest.raises(LookwiderError, match=r"at least 2 images; use batch_size=2 or more"):
        model(torch.randn(1, 3, 40, 40))


@pytest.mark.parametrize("alignment", ["aligned", "half_pixel", "centred"])
@pytest.mark.parametrize("size", [(1, 1), (17, 9), (40, 64)])
def test_any_size(alignment, size):
    model = create_model("pspnet", backbone="resnet18", num_classes=2, alignment=alignment).eval()
    assert alignment == "centred" or "bilinear, c" in model.alignment
    with torch.no_grad():
        assert model(torch.randn(1, 3, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alignment": "corners"}, "unknown alignment 'corners'"),
        ({"norm": "layer"}, "unknown norm 'layer'"),
        ({"pooling": "sum"}, "unknown pooling 'sum'"),
        ({"grid_alignment": "centred"}, "unknown grid_alignment 'centred'"),
        ({"bins": 6}, "got bins 6, expected positive numbers"),
        ({"hidden": 0}, "got hidden=0, expected a positive number"),
        ({"layer": "layer9"}, r"unknown layer of \w+ 'layer9'; did you mean"),
        ({"backbone": "vit_tiny_patch16_224", "output_stride": 16}, "use aux=false"),
        ({"extra_classes": {"aux": 3}}, "got an extra head 'aux'"),
        ({"bins": (0,)}, "expected positive numbers"),
        ({"backbone": "resnet50d"}, "average pooling, which cannot be dilated"),
        ({"backbone": "vgg16"}, "vgg16 has a stride of 32 and stays as published"),
        ({"backbone": "resnet50_psp", "pretrained": True}, "no ImageNet weights"),
        ({"stride_on": "1x1"}, "needs a trunk of bottlenecks"),
        ({"dilation": "none"}, "unknown dilation 'none'"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        create_model("pspnet", **{"backbone": "resnet18", **options})


@pytest.mark.parametrize("alignment", ["aligned", "centred"])
def test_denser_scores_lie_where_the_plain_ones_do(alignment):
    torch.manual_seed(0)
    model = create_model(
        "pspnet", backbone="resnet18", num_classes=2, bins=(), alignment=alignment
    ).eval()
    images = torch.randn(1, 3, 49, 49)
    with torch.no_grad():
        plain = model.scores(images)["main"].scores[..., 1:-1, 1:-1]
        dense = model.dense_scores(images, 8).logits()[..., ::8, ::8][..., 1:-1, 1:-1]
    assert torch.corrcoef(torch.stack([dense.flatten(), plain.flatten()]))[0, 1] > 0.999


def test_where_the_cells_lie_follows_the_alignment():
    offsets = {
        alignment: create_model("pspnet", backbone="resnet18", alignment=alignment)
        .heads["main"]
        .grid.offset
        for alignment in ("aligned", "centred", "half_pixel")
    }
    assert offsets == {"aligned": 0, "centred": 0, "half_pixel": 3.5}


def test_a_checkpoint_brings_the_same_network_back(tmp_path):
    torch.manual_seed(0)
    model = create_model(
        "pspnet", backbone="resnet18", num_classes=3, bins=(2, 1), in_channels=5, norm="group"
    ).eval()
    again = load(save(model, tmp_path / "checkpoint"))
    images = torch.randn(1, 5, 33, 40)
    with torch.no_grad():
        assert torch.equal(again(images), model(images))


def test_bfloat16_training_keeps_sums_in_float32():
    torch.manual_seed(0)
    model = create_model("pspnet", backbone="resnet18", num_classes=3).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = model.features(torch.randn(2, 3, 64, 64))
        summary = model.context.summarise(features)
        loss = model(torch.randn(2, 3, 64, 64)).float().square().mean()
    assert {value.dtype for value in summary.values} == {torch.float32}
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_grouped_averages_keep_what_they_say():
    torch.manual_seed(0)
    context = PyramidContext((128,), (1, 2, 3, 6), norm="group").eval()
    one, other = torch.randn(1, 128, 6, 6), torch.randn(1, 128, 6, 6)
    with torch.no_grad():
        first, second = (context.fuse((m,), context.summarise((m,)))[0] for m in (one, other))
    assert (first[:, 128:160] - second[:, 128:160]).abs().max() > 0.1
