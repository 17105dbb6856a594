"""PSPNet against the released networks and torchvision, and every switch of it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping

import pytest
import torch
from tests.released import fill_with_hash, hash_image, pspnet_name
from torch import Tensor
from torch.nn import functional
from torchvision.models.segmentation import fcn_resnet50

from lookwider import load, save
from lookwider.context import PyramidContext
from lookwider.errors import ConfigError, LookwiderError
from lookwider.models import Segmenter, count_parameters, create_model

CAFFE = {"bins": (6, 3, 2, 1), "aux": False}
RELEASED = {
    "pspnet50_ADE20K_473": {
        "backbone": "resnet50_psp",
        "num_classes": 150,
        "stride_on": "1x1",
        **CAFFE,
    },
    "pspnet101_VOC2012_473": {"backbone": "resnet101_psp", "num_classes": 21, **CAFFE},
}


def released(net: str, figures: Mapping[str, object], **changes: object) -> Segmenter:
    """Return a released network filled by the formula, perhaps with a detail changed."""
    options = {**RELEASED[net], **changes}
    with torch.device("meta"):
        model = create_model("pspnet", **options)
    model = model.to_empty(device="cpu").eval()
    name_of = functools.partial(pspnet_name, bins=(6, 3, 2, 1))
    fill_with_hash(model, figures["stream_order"], name_of)
    return model


@pytest.mark.parametrize("net", RELEASED)
def test_probes_of_the_released_networks(net, facts):
    figures = facts("forward_probes")["nets"][net]
    model = released(net, figures)
    with torch.inference_mode():
        logits = model(hash_image(figures["input"][0]))
    largest = figures["layers"]["conv6_interp"]["absmax"]
    assert list(logits.shape) == figures["layers"]["conv6_interp"]["shape"]
    assert logits.abs().max().item() == pytest.approx(largest, rel=1e-4)
    for n, k, i, j, value in figures["probes"]["conv6_interp"]:
        assert logits[n, k, i, j].item() == pytest.approx(value, abs=2e-5 * largest)
    histogram = torch.bincount(logits.argmax(1).flatten(), minlength=logits.shape[1])
    expected = torch.tensor(figures["argmax_hist"]["conv6_interp"])
    assert int((histogram - expected).abs().sum()) <= 10  # of 223,729 pixels: float32 ties


@pytest.fixture(scope="module")
def semseg(facts):
    """Return the PyTorch release with the formula's weights, in its own order of bins."""
    figures = facts("forward_probes")["nets"]["pspnet50_ADE20K_473"]
    caffe = released("pspnet50_ADE20K_473", figures)
    model = create_model("pspnet", num_classes=150, stride_on="1x1", aux=False).eval()
    model.load_state_dict(semseg_order(caffe.state_dict()))
    return model


def semseg_order(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn the weights for x, 6, 3, 2, 1 into those for x, 1, 2, 3, 6."""
    result = {}
    for name, tensor in state.items():
        if name == "heads.main.hidden.conv.weight":
            x, *grids = tensor.split([2048, 512, 512, 512, 512], dim=1)
            tensor = torch.cat([x, *grids[::-1]], dim=1)
        elif name.startswith("context.branches."):
            position = int(name.split(".")[2])
            name = name.replace(f"branches.{position}", f"branches.{3 - position}")
        result[name] = tensor
    return result


@pytest.mark.parametrize("size", ["57x57", "97x129", "201x153"])
def test_probes_of_the_pytorch_release_at_other_sizes(size, semseg, facts):
    case = facts("semseg_adaptive_probes")["cases"][size]
    height, width = (int(n) for n in size.split("x"))
    with torch.inference_mode():
        logits = semseg(hash_image([1, 3, height, width]))
    largest = logits.abs().max().item()
    assert list(logits.shape) == case["shape"]
    assert logits.std().item() == pytest.approx(case["std"], rel=1e-4)
    for n, k, i, j, value in case["probes"]:
        assert logits[n, k, i, j].item() == pytest.approx(value, abs=1e-5 * largest)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (RELEASED["pspnet50_ADE20K_473"], 46_841_174),
        (RELEASED["pspnet101_VOC2012_473"], 65_819_349),
        ({**RELEASED["pspnet101_VOC2012_473"], "num_classes": 19}, 65_818_323),
    ],
)
def test_parameter_counts_of_the_release(options, count):
    with torch.device("meta"):
        model = create_model("pspnet", **options)
    buffers = sum(b.numel() for n, b in model.named_buffers() if "running" in n)
    assert count_parameters(model).total + buffers == count


@pytest.mark.parametrize(
    ("net", "key"),
    [("semseg/PSPNet50_150_train(with aux)", 150), ("semseg/PSPNet101_21_train(with aux)", 21)],
)
def test_parameter_counts_with_the_auxiliary_head(net, key, facts):
    depth = net[13 : net.index("_")]
    with torch.device("meta"):
        model = create_model("pspnet", backbone=f"resnet{depth}_psp", num_classes=key)
    assert count_parameters(model).total == facts("state_dicts")[net]["params"]


# What each wrong detail does to the released pspnet50_ADE20K at 97 x 129, with its formula's
# weights; the published figures are for 473 x 473, where they are of the same order.
@pytest.mark.parametrize(
    ("wrong", "least"),
    [
        ({"stride_on": "3x3"}, 0.02),
        ({"dilation": "torchvision"}, 0.03),
        ({"alignment": "half_pixel"}, 0.1),
        ({"grid_alignment": "half_pixel"}, 0.01),
        ({"bins": (1, 2, 3, 6)}, 0.05),
        ({"pooling": "max"}, 0.2),
    ],
)
def test_each_detail_is_an_option_and_is_seen(wrong, least, facts):
    figures = facts("forward_probes")["nets"]["pspnet50_ADE20K_473"]
    images = hash_image([1, 3, 97, 129])
    right = _cached_release(json.dumps(figures["stream_order"]))
    with torch.inference_mode():
        expected = right(images)
        changed = create_model("pspnet", **{**RELEASED["pspnet50_ADE20K_473"], **wrong}).eval()
        changed.load_state_dict(right.state_dict())
        difference = (changed(images) - expected).abs().max() / expected.abs().max()
    assert difference.item() > least


@functools.cache
def _cached_release(order: str) -> Segmenter:
    return released("pspnet50_ADE20K_473", {"stream_order": json.loads(order)})


def test_batch_normalisation_is_as_published():
    model = create_model("pspnet", backbone="resnet18")
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-5}
    new = [m for m in [*model.context.modules(), *model.heads.modules()] if m in norms]
    assert {norm.momentum for norm in new} == {0.05}


def test_the_baseline_is_torchvisions_fcn():
    torch.manual_seed(0)
    theirs = fcn_resnet50(weights=None, weights_backbone=None, num_classes=5, aux_loss=True).eval()
    ours = create_model(
        "pspnet",
        backbone="resnet50",
        num_classes=5,
        bins=(),
        dilation="torchvision",
        alignment="half_pixel",
    ).eval()
    given = iter(theirs.state_dict().values())
    by_position = {name: next(given) for name in ours.backbone.state_dict()}
    ours.backbone.load_state_dict(by_position)
    for head, name in ((ours.heads["main"], "classifier"), (ours.heads["aux"], "aux_classifier")):
        source = getattr(theirs, name)
        head.hidden.conv.load_state_dict(source[0].state_dict())
        head.hidden.norm.load_state_dict(source[1].state_dict())
        head.score.load_state_dict(source[4].state_dict())
    images = torch.randn(1, 3, 64, 83)
    with torch.inference_mode():
        expected = theirs(images)
        features = ours.features(images)
        aux = ours.heads["aux"](features, (64, 83)).logits()
        torch.testing.assert_close(ours(images), expected["out"], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(aux, expected["aux"], rtol=1e-4, atol=1e-5)


def test_the_auxiliary_head_is_gone_at_test_and_absent_on_request():
    model = create_model("pspnet", backbone="resnet18", num_classes=4, extra_classes={"geo": 3})
    images = torch.randn(2, 3, 33, 47)
    assert list(model.train().scores(images)) == ["main", "geo", "aux"]
    assert list(model.eval().scores(images)) == ["main", "geo"]
    bare = create_model("pspnet", backbone="resnet18", aux=False)
    assert list(bare.heads) == ["main"]
    assert bare.backbone.layers == ("layer4",)


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
