"""FCN against the released networks: values, sizes, parameter counts; and every switch of it."""

from __future__ import annotations

import pytest
import torch
from tests.released import fill_with_hash, hash_image
from torch import Tensor
from torch.nn import functional

from lookwider.backbones import create_backbone
from lookwider.errors import ConfigError
from lookwider.models import Segmenter, count_parameters, create_model

RELEASED = {
    "voc-fcn32s": {"name": "fcn32s", "num_classes": 21},
    "voc-fcn16s": {"name": "fcn16s", "num_classes": 21},
    "voc-fcn8s": {"name": "fcn8s", "num_classes": 21},
    "voc-fcn8s-atonce": {"name": "fcn8s_atonce", "num_classes": 21},
    "voc-fcn-alexnet": {"name": "fcn32s", "num_classes": 21, "backbone": "alexnet"},
    "siftflow-fcn16s": {"name": "fcn16s", "num_classes": 33, "extra_classes": {"geometric": 3}},
    "pascalcontext-fcn8s": {"name": "fcn8s", "num_classes": 60},
}


def released(net: str, upsampling: str = "fixed") -> Segmenter:
    """Return a released network without values: its weights are filled by the test."""
    with torch.device("meta"):
        model = create_model(**RELEASED[net], style="released", upsampling=upsampling)
    return model.eval()


@pytest.mark.parametrize("net", RELEASED)
def test_probes_of_the_released_networks(net, facts):
    figures = facts("forward_probes")["nets"][net]
    model = released(net).to_empty(device="cpu")
    fill_with_hash(model, figures["stream_order"])
    with torch.no_grad():
        scores = model.scores(hash_image(figures["input"][0]))
    names = {"score": "main", "score_sem": "main", "score_geo": "geometric"}
    for blob, probes in figures["probes"].items():
        logits = scores[names[blob]].logits()
        largest = figures["layers"][blob]["absmax"]
        assert list(logits.shape) == figures["layers"][blob]["shape"]
        assert logits.abs().max().item() == pytest.approx(largest, rel=1e-5)
        for n, k, i, j, value in probes:
            assert logits[n, k, i, j].item() == pytest.approx(value, abs=1e-5 * largest)
        histogram = torch.bincount(logits.argmax(1).flatten(), minlength=logits.shape[1])
        assert histogram.tolist() == figures["argmax_hist"][blob]


@pytest.mark.parametrize(
    ("net", "count"),
    [
        ("voc-fcn32s", 136_152_917),
        ("voc-fcn16s", 134_815_994),
        ("voc-fcn8s", 134_489_759),
        ("voc-fcn8s-atonce", 134_490_527),
        ("voc-fcn-alexnet", 58_704_590),
    ],
)
@pytest.mark.parametrize("upsampling", ["fixed", "paper", "learned"])
def test_parameter_counts_of_the_release(net, count, upsampling):
    counted = count_parameters(released(net, upsampling))
    assert counted.total == count
    assert (counted.fixed == 0) == (upsampling == "learned" and net != "voc-fcn8s-atonce")


def test_sizes_of_the_release_from_1_to_513(facts):
    sizes = facts("sizes_1_to_513")
    for net, layers in {
        "voc-fcn32s": ("vgg16", ["pool1", "pool2", "pool3", "pool4", "pool5", "fc7"]),
        "voc-fcn-alexnet": ("alexnet", ["conv1", "pool1", "pool2", "pool5", "fc7"]),
    }.items():
        backbone, names = layers
        with torch.device("meta"):
            trunk = create_backbone(backbone, layers=names, style="released")
        expected = {**sizes["voc-fcn32s"], **sizes[net]}
        known = [name for name in names if name in sizes[net]]
        assert len(known) >= 4
        for size in range(1, 514):
            maps = trunk(torch.empty(1, 3, size, 20, device="meta"))
            found = dict(zip(trunk.layers, maps, strict=True))
            for name in known:
                assert found[name].shape[2] == expected[name][size - 1], (net, name, size)


@pytest.mark.parametrize("backbone", ["alexnet", "googlenet", "resnet18", "convnext_atto"])
@pytest.mark.parametrize("upsampling", ["paper", "fixed", "learned", "interpolation"])
def test_any_size_in_the_same_size_out(backbone, upsampling):
    model = create_model(
        "fcn8s", backbone=backbone, num_classes=3, upsampling=upsampling, zero_scores=False
    ).eval()
    for size in [(1, 1), (1, 70), (33, 40), (65, 31)]:
        with torch.no_grad():
            assert model(torch.randn(1, 3, *size)).shape == (1, 3, *size)


def plain_fcn8s(model: Segmenter, images: Tensor) -> Tensor:
    """FCN-8s on a VGG-like trunk as the paper's figure 3, with PyTorch's own operators."""
    pool3, pool4, fc7 = model.backbone(images)
    head = model.heads["main"]
    classes = model.num_classes

    def bilinear(kernel: int) -> Tensor:
        line = 1 - (torch.arange(kernel) - kernel / 2 + 0.5).abs() / (kernel / 2)
        return torch.outer(line, line)[None, None].expand(classes, 1, -1, -1)

    up2 = functional.conv_transpose2d(
        head.score_fr(fc7), head.upscores[0].deconvolution.weight, stride=2
    )
    score4 = head.score_skips[0](pool4)
    up2 = up2[:, :, 1 : 1 + score4.shape[2], 1 : 1 + score4.shape[3]] + score4
    up4 = functional.conv_transpose2d(up2, head.upscores[1].deconvolution.weight, stride=2)
    score3 = head.score_skips[1](pool3)
    up4 = up4[:, :, 1 : 1 + score3.shape[2], 1 : 1 + score3.shape[3]] + score3
    up32 = functional.conv_transpose2d(up4, bilinear(16), stride=8, groups=classes)
    height, width = images.shape[2:]
    return up32[:, :, 4 : 4 + height, 4 : 4 + width]


def test_the_same_style_equals_the_figure_written_out():
    torch.manual_seed(0)
    model = create_model("fcn8s", num_classes=4, zero_scores=False).eval()
    images = torch.randn(1, 3, 75, 90)
    with torch.no_grad():
        for upscore in model.heads["main"].upscores:
            upscore.deconvolution.weight.add_(0.01 * torch.randn(4, 4, 4, 4))
        torch.testing.assert_close(model(images), plain_fcn8s(model, images), rtol=1e-4, atol=1e-4)


def test_scores_start_at_zero():
    model = create_model("fcn16s", backbone="resnet18", num_classes=3).eval()
    assert (model(torch.randn(1, 3, 40, 40)) == 0).all()


def test_which_deconvolutions_are_learned():
    def learned(upsampling: str) -> list[str]:
        model = create_model("fcn8s", backbone="resnet18", upsampling=upsampling)
        return [name for name, _ in model.named_parameters() if "deconvolution" in name]

    inner = [f"heads.main.upscores.{i}.deconvolution.weight" for i in (0, 1)]
    assert learned("fixed") == learned("interpolation") == []
    assert learned("paper") == inner
    assert learned("learned") == [*inner, "heads.main.upscore_to_image.deconvolution.weight"]


def test_interpolation_keeps_its_value_up_to_the_border_where_deconvolution_fades():
    def ones(upsampling: str) -> Tensor:
        model = create_model("fcn32s", num_classes=1, style="same", upsampling=upsampling)
        head = model.heads["main"].upscore_to_image
        return head(torch.ones(1, 1, 2, 3), (64, 96)).logits()

    assert torch.allclose(ones("interpolation"), torch.ones(1, 1, 64, 96))
    faded = ones("fixed")
    assert torch.allclose(faded[..., 16:48, 16:80], torch.ones(32, 64))
    assert (faded[..., 0, :] < 0.6).all()


def test_alignment_says_kernel_and_crop():
    assert released("voc-fcn-alexnet").alignment == (
        "fixed bilinear deconvolution 63/32, cropped from 18 on"
    )


def test_a_stride_that_the_trunk_lacks():
    with pytest.raises(
        ConfigError, match="vit_tiny_patch16_224 has no map of stride 8, only of 16"
    ):
        create_model("fcn8s", backbone="vit_tiny_patch16_224")


def test_wrong_switches():
    with pytest.raises(ConfigError, match="unknown upsampling 'bilinear'"):
        create_model("fcn8s", backbone="resnet18", upsampling="bilinear")
    with pytest.raises(ConfigError, match="got 1 skip_scales for 2 skips"):
        create_model("fcn8s", backbone="resnet18", skip_scales=(0.1,))
    with pytest.raises(ConfigError, match="style='released' exists for alexnet and vgg16"):
        create_model("fcn8s", backbone="resnet18", style="released")
