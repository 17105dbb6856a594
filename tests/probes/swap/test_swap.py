"""Swapping the context of one image, exactly, in networks whose decision is known by hand."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from tests.probes.by_hand import COLOURS, Parts, Pooled, averaging, brightest, plain

from lookwider.classes import Classes
from lookwider.errors import ConfigError, DataError, LookwiderError
from lookwider.models import create_model
from lookwider.probes.network import Network
from lookwider.probes.swap import (
    OneRegion,
    OtherImage,
    Zeros,
    mean_context,
    swap_context,
    swap_layer,
)

RED, GREEN, BLUE = (plain(colour) for colour in range(3))


def halves(left, right):
    return np.concatenate([left, right], axis=1)


def softmax(*scores):
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def distance(p, q):
    return sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2


@pytest.mark.parametrize("network", [averaging, brightest])
def test_a_decision_by_context_alone_follows_the_context(network):
    swap = swap_context(network(), RED, OtherImage(plain(2, (9, 3)), "blue's"), name="red")
    assert (swap.before == 0).all()
    assert (swap.after == 2).all()
    assert swap.share_changed == 1
    assert [vars(move) for move in swap.largest()] == [
        {"before": "red", "after": "blue", "pixels": 24, "share": 1.0}
    ]
    expected = distance(softmax(10, 0, 0), softmax(0, 0, 10))
    np.testing.assert_allclose(swap.variation, expected, rtol=1e-6)
    assert swap.moves.mean_variation == pytest.approx(expected, rel=1e-6)
    assert swap.replaced_by == "blue's"


def test_a_decision_without_the_context_does_not_change():
    swap = swap_context(averaging(local=1.0, context=0.0), halves(RED, BLUE), OtherImage(GREEN))
    assert not swap.changed.any()
    assert not swap.variation.any()
    assert swap.share_changed == 0
    assert swap.largest() == []


def test_a_decision_by_both_changes_where_the_context_wins():
    image = halves(RED, BLUE)  # each side scores 10 by itself
    swap = swap_context(averaging(local=1.0, context=0.8), image, OtherImage(BLUE))
    assert swap.changed.tolist() == np.zeros((4, 12), bool).tolist()
    swap = swap_context(averaging(local=1.0, context=1.2), image, OtherImage(BLUE))
    assert swap.changed.tolist() == [[True] * 6 + [False] * 6] * 4
    assert swap.moves.class_changed[:1] == (1.0,)
    assert swap.moves.class_changed[2] == 0.0
    assert math.isnan(swap.moves.class_changed[1])
    assert swap.moves.became("red", "blue") == 24
    with pytest.raises(ConfigError, match="unknown class 'blu'; did you mean 'blue'"):
        swap.moves.became("red", "blu")


def test_zeros_take_away_what_the_context_adds():
    swap = swap_context(averaging(local=0.5), halves(RED, RED), Zeros())
    np.testing.assert_allclose(
        swap.variation, distance(softmax(15, 0, 0), softmax(5, 0, 0)), rtol=1e-5
    )


@pytest.mark.parametrize("network", [averaging, brightest])
def test_one_regions_context_is_that_regions(network):
    image = halves(halves(GREEN, GREEN), RED)  # the average is green, the last third red
    for index, colour in enumerate([1, 1, 0, 1, 1, 0, 1, 1, 0]):
        swap = swap_context(network(), image, OneRegion(3, index))
        assert (swap.after == colour).all()
    assert swap.replaced_by == "that of region 2,2 of 3 x 3"
    assert swap.other.shape == (2, 6, 3)  # rows 2 and 3 of 4, the third of 18 columns
    for bins, index in ((2, 4), (0, 0), (2, -1)):
        with pytest.raises(ConfigError, match=f"got region {index} of {bins} x {bins}, expected 0"):
            swap_context(network(), image, OneRegion(bins, index))


def test_the_mean_context_counts_every_image_alike():
    images = [plain(0, (4, 4)), plain(0, (9, 9)), plain(2, (20, 30)), plain(0, (3, 3))]
    mean = mean_context(Network(averaging()), images, show=False)
    assert mean.images == 4
    assert mean.mean[0].flatten().tolist() == [7.5, 0.0, 2.5]
    swap = swap_context(averaging(), BLUE, mean)
    assert (swap.after == 0).all()
    assert swap.replaced_by == "the mean of 4 images"
    limited = mean_context(Network(averaging()), images, limit=2, show=False)
    assert limited.mean[0].flatten().tolist() == [10.0, 0.0, 0.0]
    with pytest.raises(DataError, match="got 0 images, expected at least 1"):
        mean_context(Network(averaging()), [], show=False)
    with pytest.raises(ConfigError, match="got limit=0, expected at least 1"):
        mean_context(Network(averaging()), images, limit=0, show=False)


@pytest.fixture(scope="module", params=["parsenet", "pspnet"])
def model(request):
    torch.manual_seed(1)
    classes = Classes.named([f"c{i}" for i in range(5)])
    return create_model(
        request.param, backbone="test_resnet", output_stride=32, classes=classes
    ).train()


def picture(seed, size):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def test_a_real_models_own_context_changes_nothing(model):
    image = picture(0, (40, 56))
    swap = swap_context(model, image, OtherImage(image))
    assert (swap.before == model.predict(image).labels).all()
    assert not swap.changed.any()
    assert not swap.variation.any()
    assert model.training  # as it was before


def test_a_swap_is_the_two_halves_put_together_anew(model):
    image, other = picture(0, (40, 56)), picture(1, (40, 56)) // 4
    swap = swap_context(model, image, OtherImage(other))
    model.eval()
    with torch.inference_mode():
        features = model.features(model.preprocess(image))
        summary = model.context.summarise(model.features(model.preprocess(other)))
        scores = model.classify(features, summary, (40, 56))["main"]
        own = model.predict(image, probabilities=True).probabilities
    model.train()
    assert (swap.after == scores.labels()[0].numpy()).all()
    expected = np.abs(own - scores.probabilities()[0].numpy()).sum(0) / 2
    np.testing.assert_allclose(swap.variation, expected, atol=1e-6)
    assert swap.variation.any()


def test_a_layer_that_is_the_context_gives_the_same_swap():
    torch.manual_seed(1)
    model = create_model("parsenet", backbone="test_resnet", output_stride=32, num_classes=5)
    image, other = picture(0, (40, 56)), picture(1, (30, 30)) // 4
    halfway = swap_context(model, image, OtherImage(other))
    layer = swap_layer(model, image, "global_norms.0", OtherImage(other))
    assert layer.slot == "the output of context.global_norms.0"
    assert (layer.before == halfway.before).all()
    assert (layer.after == halfway.after).all()
    np.testing.assert_allclose(layer.variation, halfway.variation, atol=1e-6)


@pytest.mark.parametrize("wrap", [None, "dict", "tuple"])
def test_a_layer_of_any_module(wrap):
    swap = swap_layer(Pooled(wrap), RED, "pool", OtherImage(plain(1, (7, 7))))
    assert (swap.before == 0).all()
    assert (swap.after == 1).all()
    assert swap.classes.names == ("class 0", "class 1", "class 2")
    assert Pooled(wrap).pool._forward_hooks == {}


@pytest.mark.parametrize(("kind", "layer"), [("dict", "inner[b]"), ("tuple", "inner[1]")])
def test_one_of_several_outputs_of_a_layer(kind, layer):
    module = Parts(kind)
    blue = OtherImage(np.stack([np.zeros((4, 6), np.uint8)] * 2 + [np.full((4, 6), 255)], 2))
    swap = swap_layer(module, RED // 2, layer, blue)
    assert (swap.after == 2).all()
    assert not module.inner._forward_hooks
    with pytest.raises(LookwiderError, match=r"did you mean 'inner\[.\]'"):
        swap_layer(module, RED, "inner", Zeros())


def test_what_cannot_be_swapped_is_refused():
    fcn = Network(create_model("fcn32s", backbone="test_resnet", num_classes=3), name="runs/fcn")
    with pytest.raises(
        ConfigError, match=r"runs/fcn has no context to swap: .* parsenet or pspnet"
    ):
        swap_context(fcn, RED, Zeros())
    bare = create_model("pspnet", backbone="test_resnet", output_stride=32, num_classes=3, bins=())
    with pytest.raises(ConfigError, match="has no context to swap"):
        swap_context(bare, picture(0, (33, 33)), Zeros())
    with pytest.raises(ConfigError, match="is not a lookwider model"):
        swap_context(Pooled(), RED, Zeros())
    with pytest.raises(ConfigError, match=r"unknown layer 'poool' .* the closest are pool"):
        swap_layer(Pooled(), RED, "poool", Zeros())
    with pytest.raises(ConfigError, match="not of the output of pool; replace them by"):
        swap_layer(Pooled(), RED, "pool", OneRegion(2, 0))
    local = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1))
    with pytest.raises(
        LookwiderError, match=r"is \(1, 3, 4, 6\) for this image but \(1, 3, 2, 2\)"
    ):
        swap_layer(local, RED, "0", OtherImage(plain(1, (2, 2))))
    with pytest.raises(LookwiderError, match=r"the output of 0 is \(1, 3, 2, 2\), that of the im"):
        mean_context(Network(local), [RED, plain(1, (2, 2))], layer="0", show=False)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (torch.nn.Conv2d(3, 1, 1), r"got an output of shape \(1, 1, 4, 6\), expected scores"),
        (torch.nn.Flatten(), "got an output of shape"),
    ],
)
def test_outputs_that_are_no_scores_are_refused(module, message):
    network = torch.nn.Sequential(torch.nn.ReLU(), module)
    with pytest.raises(LookwiderError, match=message):
        swap_layer(network, RED, "0", Zeros())


def test_nan_scores_are_refused():
    network = Pooled()
    network.pool.register_forward_hook(lambda *_: torch.full((1, 3, 1, 1), float("nan")))
    with pytest.raises(LookwiderError, match="the network's scores hold NaN"):
        swap_layer(network, RED, "pool", Zeros())


def test_files_table_and_picture(tmp_path):
    swap = swap_context(averaging(), halves(RED, RED), OtherImage(BLUE, "that of b"), name="a")
    paths = swap.save(tmp_path / "swap")
    assert [path.name for path in paths] == ["swap.npz", "swap.json", "swap.png"]
    with np.load(paths[0]) as maps:
        assert (maps["before"] == swap.before).all()
        assert (maps["after"] == swap.after).all()
        assert maps["variation"].dtype == np.float32
    content = json.loads(paths[1].read_text())
    assert content["image"] == "a"
    assert content["share_changed"] == 1.0
    assert content["classes"]["green"] == {"pixels": 0, "changed": None, "variation": None}
    assert content["moves"] == [{"before": "red", "after": "blue", "pixels": 48, "share": 1.0}]
    assert np.array(content["counts"]).sum() == 48
    with Image.open(paths[2]) as image:
        assert 800 < image.width < 2000
    assert [str(cell) for cell in swap.table().columns[1].cells] == ["blue"]
    assert swap.summary().startswith("100.0 % of the pixels change class")
    assert swap_context(averaging(), RED, Zeros()).picture()[:4] == b"\x89PNG"
    assert swap.classes is COLOURS
