"""The scales of networks' features: before, normalised, scaled; which layers; clear errors."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lookwider.data import SceneDataset
from lookwider.errors import ConfigError, DataError
from lookwider.layers.l2_norm import L2Norm
from lookwider.models import create_model
from lookwider.preprocessing import Preprocessing
from lookwider.probes.network import Network
from lookwider.probes.scales import Norms, Point, feature_scales
from lookwider.probes.scales.points import measuring_points

RAW = Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3, scale=1.0)
DATA = SceneDataset(3, size=(32, 40))


def colour(*values, size=(4, 5)):
    return np.broadcast_to(np.array(values, np.uint8), (*size, 3))


@pytest.fixture(scope="module")
def parsenet():
    torch.manual_seed(0)
    model = create_model(
        "parsenet",
        backbone="resnet18",
        num_classes=3,
        layers=("layer1", "layer2"),
        context_layers=("layer2",),
        scale=7.0,
    )
    nn.init.uniform_(model.context.global_norms[0].scale, 5.0, 9.0)
    return model.train()


def test_before_normalised_and_scaled_of_known_features():
    images = [colour(0, 30, 40), colour(6, 0, 8)]
    network = Network(nn.Sequential(L2Norm(3, scale=10.0)), preprocessing=RAW)
    found = feature_scales(network, images, show=False)
    figures = {point.stage: (norms.least, norms.most) for point, norms in found.norms.items()}
    assert figures["input"] == (10.0, 50.0)
    assert figures["normalised"] == pytest.approx((1.0, 1.0), abs=1e-9)
    assert figures["scaled"] == pytest.approx((10.0, 10.0), rel=1e-6)
    assert found.of("input")["0"].places == 40
    assert found.of("input")["0"].share_zero == 0.5 * (1 / 3) + 0.5 * (1 / 3)
    assert found.learned["0"].tolist() == [10.0, 10.0, 10.0]
    alone = Network(L2Norm(3, scale=10.0), preprocessing=RAW)
    table = feature_scales(alone, images, show=False).table()
    assert [str(cell) for cell in table.columns[0].cells] == ["the network"] * 3


def test_one_length_for_a_whole_map():
    network = Network(nn.Sequential(L2Norm(3, across_spatial=True)), preprocessing=RAW)
    found = feature_scales(network, [colour(0, 3, 4, size=(5, 5))], show=False)
    assert found.of("normalised")["0"].mean == pytest.approx(1 / 5)


def test_a_parsenets_stages_are_those_of_its_own_modules(parsenet):
    found = feature_scales(Network(parsenet, name="p"), DATA, show=False)
    assert list(dict.fromkeys(point.stage for point in found.norms)) == [
        *("output", "input", "normalised", "scaled")
    ]
    parsenet.eval()
    features = [parsenet.features(parsenet.preprocess(DATA[i].image)) for i in range(len(DATA))]
    averages = [maps[1].mean((2, 3), keepdim=True) for maps in features]
    expected = {
        ("context.local_norms.0", "input"): [maps[0] for maps in features],
        ("context.local_norms.1", "input"): [maps[1] for maps in features],
        ("context.global_norms.0", "input"): averages,
        ("context.global_norms.0", "scaled"): [
            parsenet.context.global_norms[0](average) for average in averages
        ],
        ("backbone.network.layer2", "output"): [maps[1] for maps in features],
    }
    parsenet.train()
    by_place = {(point.layer, point.stage): norms for point, norms in found.norms.items()}
    for place, maps in expected.items():
        plain = Norms.of(maps[0])
        for more in maps[1:]:
            plain = plain.merge(Norms.of(more))
        assert by_place[place].mean == pytest.approx(plain.mean, rel=1e-5), place
        np.testing.assert_allclose(by_place[place].channel_rms, plain.channel_rms, rtol=1e-4)
    for layer in found.of("normalised").values():
        assert layer.most == pytest.approx(1, abs=1e-9)
    assert found.learned["context.local_norms.1"].tolist() == [7.0] * 128
    assert found.spread("scaled") < 1.2
    assert parsenet.training
    assert not parsenet.context.local_norms[0]._forward_hooks


def test_the_order_of_the_images_does_not_matter(parsenet):
    images = [DATA[i].image for i in range(3)]
    first = feature_scales(parsenet, images, show=False)
    second = feature_scales(parsenet, images[::-1], show=False)
    for point, norms in first.norms.items():
        other = second.norms[point]
        assert (norms.histogram == other.histogram).all()
        assert (norms.least, norms.most, norms.zeros) == (other.least, other.most, other.zeros)
        assert norms.mean == pytest.approx(other.mean, rel=1e-13)
        assert norms.std == pytest.approx(other.std, rel=1e-9, abs=1e-15)


def test_a_limit_takes_the_first_images(parsenet):
    limited = feature_scales(parsenet, DATA, limit=1, show=False)
    alone = feature_scales(parsenet, [DATA[0].image], show=False)
    assert limited.to_json() == alone.to_json()
    assert limited.images == 1


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("parsenet", {}, ["conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3", "fc7"]),
        ("fcn32s", {"backbone": "resnet18"}, ["act1", "layer1", "layer2", "layer3", "layer4"]),
    ],
)
def test_the_trunks_stages_are_measured_by_default(name, options, expected):
    with torch.device("meta"):
        network = Network(create_model(name, num_classes=3, **options))
    points = measuring_points(network, None, (64, 64))
    assert [p.short for p in points if p.stage == "output"] == expected


def test_what_fuses_context_is_measured_before_and_after():
    small = {"backbone": "test_resnet", "output_stride": 32, "num_classes": 3}
    model = create_model("pspnet", bins=(1, 2), **small)
    points = measuring_points(Network(model), (), (64, 64))
    assert [f"{point.short}, {point.words}" for point in points] == [
        "1 x 1 regions of layer4, before",
        "1 x 1 regions of layer4, after",
        "2 x 2 regions of layer4, before",
        "2 x 2 regions of layer4, after",
    ]
    assert points[0].title == "context.branches.0 (1 x 1 regions of layer4), before"
    plain = create_model("parsenet", normalise=False, **small)
    points = measuring_points(Network(plain), (), (64, 64))
    expected = ["layer4", "layer4", "average of layer4", "average of layer4"]
    assert [p.short for p in points] == expected


def test_at_most_twelve_convolutions_of_any_module():
    layers = [layer for _ in range(20) for layer in (nn.Conv2d(3, 3, 1), nn.ReLU())]
    points = measuring_points(Network(nn.Sequential(*layers)), None, (8, 8))
    assert len(points) == 12
    assert (points[0].layer, points[-1].layer) == ("0", "38")
    assert {point.stage for point in points} == {"output"}
    few = measuring_points(Network(nn.Sequential(*layers[:6])), None, (8, 8))
    assert [point.layer for point in few] == ["0", "2", "4"]


def test_named_layers_of_any_module(parsenet):
    found = feature_scales(parsenet, DATA, ["layer1.0.conv1"], show=False)
    assert list(found.of("output")) == ["backbone.network.layer1.0.conv1"]
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 2, 1))
    found = feature_scales(Network(pooled, preprocessing=RAW), [colour(0, 3, 4)], ["0"], show=False)
    assert found.norms[Point("0", "output")].mean == 5.0


def test_mistakes_are_named(parsenet):
    with pytest.raises(ConfigError, match=r"unknown layer 'layre1' .* closest are .*layer1"):
        feature_scales(parsenet, DATA, ["layre1"], show=False)
    with pytest.raises(
        ConfigError, match=r"layer 'conv1' may be any of: backbone\.network\.conv1, "
    ):
        feature_scales(parsenet, DATA, ["conv1"], show=False)
    with pytest.raises(DataError, match="got 0 images, expected at least 1"):
        feature_scales(parsenet, [], show=False)
    with pytest.raises(ConfigError, match="has no convolution to measure; name layers"):
        feature_scales(nn.Sequential(nn.ReLU()), DATA, show=False)
    flat = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(0))
    with pytest.raises(
        DataError, match=r"1: got values of shape \(2560,\), expected a map \(N, C, h, w\)"
    ):
        feature_scales(flat, DATA, ["1"], show=False)
    for view, shape in (((0, 2, 3, 1), "1, 32, 40, 3"), ((0, 3, 2, 1), "1, 40, 32, 3")):
        turned = Turned(view)
        with pytest.raises(DataError, match=rf"turn: got values of shape .*\({shape}\), expected"):
            feature_scales(turned, DATA, ["turn"], show=False)
    tokens = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(2))
    with pytest.raises(DataError, match=r"1: got values of shape \(1, 2, 1280\), expected a map"):
        feature_scales(tokens, DATA, ["1"], show=False)


class Turned(nn.Module):
    """Has channels last."""

    class Turn(nn.Module):
        def __init__(self, order: tuple[int, ...]) -> None:
            super().__init__()
            self.order = order

        def forward(self, images):
            return images.permute(self.order)

    def __init__(self, order: tuple[int, ...]) -> None:
        super().__init__()
        self.turn = self.Turn(order)

    def forward(self, images):
        return self.turn(images)


def test_the_scores_are_a_layer_too(parsenet):
    found = feature_scales(parsenet, DATA, ["scores"], show=False)
    with torch.no_grad():
        images = Network(parsenet).image(DATA[0].image)
        expected = parsenet.eval().scores(images)["main"].scores
    norms = found.norms[Point("scores", "output")]
    assert len(norms.channel_squares) == expected.shape[1]
    assert norms.places == len(DATA) * expected.shape[2] * expected.shape[3]


def test_features_that_are_no_numbers_name_the_layer_and_the_image():
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1))
    nn.init.constant_(network[1].bias, float("inf"))
    message = r"scene_00000: 1, output: 2560 of 2560 features are NaN or infinite; the weights"
    with pytest.raises(DataError, match=message):
        feature_scales(network, DATA, show=False)


def test_files_table_and_picture(parsenet, tmp_path):
    found = feature_scales(Network(parsenet, name="runs/p"), DATA, show=False)
    paths = found.save(tmp_path / "out")
    assert [path.name for path in paths] == ["scales.json", "scales.npz", "scales.png"]
    content = json.loads(paths[0].read_text())
    assert content["layers"][-1]["of"] == "average of layer2"
    assert content["learned_scales"]["context.local_norms.0"]["mean"] == 7.0
    with np.load(paths[1]) as arrays:
        assert len(arrays["edges"]) + 1 == len(arrays["context.local_norms.0/input/histogram"])
        assert arrays["context.global_norms.0/input/channel_rms"].shape == (128,)
        assert arrays["context.local_norms.0/scale"].tolist() == [7.0] * 64
    with Image.open(paths[2]) as image:
        assert image.width > 800
    table = found.table()
    assert [str(cell) for cell in table.columns[0].cells][-1] == "average of layer2"
    assert "between layers" in found.summary()
    one = feature_scales(nn.Sequential(nn.Conv2d(3, 2, 1)), DATA, show=False)
    assert one.summary() == "one layer was measured: nothing to compare"
    assert np.isnan(one.spread("input"))
    assert one.picture()[:4] == b"\x89PNG"
