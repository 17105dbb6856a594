"""ParseNet against the released network, and every switch of it against the obvious way."""

from __future__ import annotations

import pytest
import torch
from tests.released import fill_with_hash, hash_image, parsenet_name
from torch.nn import functional

from lookwider import load, save
from lookwider.errors import ConfigError
from lookwider.models import Segmenter, count_parameters, create_model, parameter_roles

NET = "parsenet-VOC2012ext(21 classes)"


def small(**options: object) -> Segmenter:
    """Return a small ParseNet with random, non-zero biases."""
    torch.manual_seed(0)
    model = create_model("parsenet", backbone="resnet18", num_classes=3, **options).eval()
    with torch.no_grad():
        for name, parameter in model.heads.named_parameters():
            if name.endswith(("bias", "merge_weights")):
                parameter.uniform_(-1, 1)
    return model


def test_probes_of_the_released_network(facts):
    figures = facts("forward_probes")["nets"][NET]
    model = create_model("parsenet", num_classes=21).eval()
    fill_with_hash(model, figures["stream_order"], parsenet_name)
    with torch.no_grad():
        images = hash_image(figures["input"][0])
        features = model.features(images)
        fused = model.context.fuse(features, model.context.summarise(features))
        logits = model(images)
    largest = figures["layers"]["score"]["absmax"]
    assert logits.abs().max().item() == pytest.approx(largest, rel=1e-5)
    for n, k, i, j, value in figures["probes"]["score"]:
        assert logits[n, k, i, j].item() == pytest.approx(value, abs=1e-5 * largest)
    histogram = torch.bincount(logits.argmax(1).flatten(), minlength=21).tolist()
    assert histogram == figures["argmax_hist"]["score"]
    for blob, maps in {"fc7_norm": fused[0], "pool6_1x1_norm": fused[1]}.items():
        expected = figures["layers"][blob]
        assert list(maps.shape) == expected["shape"]
        assert maps.abs().max().item() == pytest.approx(expected["absmax"], rel=1e-5)


def test_parameter_count_and_place_of_the_release():
    with torch.device("meta"):
        model = create_model("parsenet", num_classes=21)
    assert count_parameters(model).total == 20_534_399
    assert model.backbone.grids[-1].stride == 8
    assert model.alignment == "learned bilinear deconvolution 16/8, cropped from 4 on"


@pytest.mark.parametrize("context_layers", [None, ("layer2", "layer4"), ()])
def test_early_fusion_is_unpooling_concatenating_and_classifying(context_layers):
    model = small(fusion="early", context_layers=context_layers, upsampling="interpolation")
    images = torch.randn(2, 3, 65, 97)
    head = model.heads["main"]
    with torch.no_grad():
        features = model.features(images)
        fused = model.context.fuse(features, model.context.summarise(features))
        size = fused[0].shape[-2:]
        joined = torch.cat([fused[0], *(g.expand(-1, -1, *size) for g in fused[1:])], dim=1)
        expected = functional.conv2d(joined, head.score.weight, head.score.bias)
        got = model.scores(images)["main"].scores
    assert len(fused) == 1 + (1 if context_layers is None else len(context_layers))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_late_fusion_is_early_fusion_with_the_weight_split():
    late, early = small(), small(fusion="early")
    early.load_state_dict(late.state_dict(), strict=False)
    head, joined = late.heads["main"], early.heads["main"]
    with torch.no_grad():
        joined.score.weight.copy_(
            torch.cat([head.scores[0].weight, head.context_scores[0].weight], dim=1)
        )
        joined.score.bias.copy_(head.scores[0].bias + head.context_scores[0].bias)
        images = torch.randn(1, 3, 50, 70)
        torch.testing.assert_close(early(images), late(images), rtol=1e-5, atol=1e-5)


def test_learned_merge_weighs_the_scores():
    plain, learned = small(), small(merge="learned")
    learned.load_state_dict(plain.state_dict(), strict=False)
    head = learned.heads["main"]
    assert create_model("parsenet", backbone="resnet18", merge="learned").heads[
        "main"
    ].merge_weights.tolist() == [1, 1]
    images = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        head.merge_weights.copy_(torch.tensor([1.0, 0.0]))
        features = learned.features(images)
        local = learned.context.fuse(features, learned.context.summarise(features))[0]
        expected = head.scores[0](local)
        upscored = head.upscore_to_image.deconvolution(expected)
        torch.testing.assert_close(learned.scores(images)["main"].scores, upscored)


def test_coarser_maps_are_scored_where_they_lie():
    model = small(
        layers=("layer2", "layer4"), output_stride=32, upsampling="interpolation", normalise=False
    )
    images = torch.randn(1, 3, 97, 129)
    head = model.heads["main"]
    with torch.no_grad():
        fine, coarse, average = model.context.fuse(
            features := model.features(images), model.context.summarise(features)
        )
        spread = functional.interpolate(
            coarse, size=(13, 17), mode="bilinear", align_corners=True
        )  # cells lie at 32 i and 8 i, and sizes are 32 k + 1
        expected = head.scores[0](fine) + head.scores[1](spread) + head.context_scores[0](average)
        got = model.scores(images)["main"].scores
    assert tuple(coarse.shape[-2:]) == (4, 5)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_every_kind_of_normalisation_is_an_option():
    model = small(across_spatial=True, channel_shared=True, learned_scale=False, scale=20.0)
    for norm in (model.context.local_norms[0], model.context.global_norms[0]):
        assert norm.axes == (1, 2, 3)
        assert norm.scale.tolist() == [20.0]
        assert not norm.scale.requires_grad
    assert small(normalise=False).context.local_norms[0](torch.ones(1)) == 1


def test_the_baseline_has_no_context_and_names_the_layers():
    model = small(context_layers=())
    assert len(model.heads["main"].context_scores) == 0
    assert model.context.summarise(model.features(torch.randn(1, 3, 32, 32))).values == ()
    with pytest.raises(ConfigError, match=r"unknown layer of resnet18 'conv5'.*layer4"):
        small(context_layers=("conv5",))


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (64, 50)])
@pytest.mark.parametrize("upsampling", ["learned", "fixed", "interpolation"])
def test_any_size_and_upsampling(size, upsampling):
    model = small(upsampling=upsampling)
    with torch.no_grad():
        assert model(torch.randn(1, 3, *size)).shape == (1, 3, *size)


def test_the_scales_and_filters_learn_at_the_trunks_rate():
    roles = parameter_roles(small())
    assert roles["context.local_norms.0.scale"] == "trunk"
    assert roles["heads.main.upscore_to_image.deconvolution.weight"] == "trunk"
    assert roles["heads.main.scores.0.weight"] == "new"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "middle"}, "unknown fusion 'middle'"),
        ({"merge": "product"}, "unknown merge 'product'"),
        ({"upsampling": "paper"}, "unknown upsampling 'paper'"),
        ({"fusion": "early", "merge": "learned"}, "needs fusion='late'"),
        ({"layers": ()}, "got no layers, expected at least one"),
        ({"context_dropout": 2.0}, "expected a share from 0 to below 1"),
        ({"extra_classes": {"main": 2}}, "got an extra head 'main'"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        small(**options)


def test_the_large_field_of_view_has_one_stride():
    with pytest.raises(ConfigError, match="vgg16_largefov's is always 8"):
        create_model("parsenet", output_stride=16)


def test_fixed_filters_are_counted_one_per_class():
    model = create_model("parsenet", backbone="resnet18", num_classes=3, upsampling="fixed")
    assert count_parameters(model).fixed == 3 * 15 * 15


def test_a_transformer_as_trunk_and_a_checkpoint_of_it(tmp_path):
    torch.manual_seed(0)
    model = create_model(
        "parsenet", backbone="vit_tiny_patch16_224", num_classes=3, output_stride=16
    ).eval()
    again = load(save(model, tmp_path / "checkpoint"))
    images = torch.randn(1, 3, 40, 50)
    with torch.no_grad():
        assert torch.equal(again(images), model(images))
    assert model(images).shape == (1, 3, 40, 50)
