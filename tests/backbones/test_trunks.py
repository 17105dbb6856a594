"""Trunks: layers by name, Caffe's layer arithmetic, ImageNet weights, any timm model."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from lookwider.backbones import create_backbone, pretrained, stride_layers
from lookwider.backbones.alexnet import alexnet
from lookwider.backbones.googlenet import googlenet_torchvision
from lookwider.backbones.vgg import load_torchvision_vgg16, vgg16, vgg16_largefov
from lookwider.errors import ConfigError, LookwiderError
from lookwider.layers.grids import Grid


def test_caffes_pooling_vectors(facts):
    vectors = facts("layer_vectors")
    seven = torch.tensor(vectors["pool_input_7x7"])[None, None]
    with torch.device("meta"):
        vgg, alex = vgg16(["pool1"], style="released"), alexnet(["pool1"], style="released")
    for key, pool, image in [
        ("max_k2_s2 on 7x7", vgg.pool1, seven),
        ("max_k3_s2 on 7x7", alex.pool1, seven),
        ("max_k3_s2 on 6x6 (top-left)", alex.pool1, seven[..., :6, :6]),
    ]:
        torch.testing.assert_close(pool(image)[0, 0], torch.tensor(vectors[key]["y"]))


def test_caffes_normalisation_vector(facts):
    vector = facts("layer_vectors")["lrn_5_1e-4_0.75_k1 (7 channels, 1 px)"]
    with torch.device("meta"):
        normalise = alexnet(["norm1"], style="released").norm1
    result = normalise(torch.tensor(vector["x"])[None, :, None, None])
    torch.testing.assert_close(result.flatten(), torch.tensor(vector["y"]), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
@pytest.mark.parametrize("style", ["same", "released"])
def test_layers_and_shapes_of_the_release(name, style, facts):
    net = {"alexnet": "voc-fcn-alexnet", "vgg16": "voc-fcn32s"}[name]
    with torch.device("meta"):
        trunk = create_backbone(name, style=style)
    released = {
        layer["name"]: layer
        for layer in facts(f"layers_{net}")["layers"]
        if layer["type"] == "Convolution" and not layer["name"].startswith("score")
    }
    own = {n: m for n, m in trunk.named_children() if isinstance(m, nn.Conv2d)}
    assert list(own) == list(released)
    for layer, convolution in own.items():
        expected = released[layer]
        shapes = [list(p.shape) for p in convolution.parameters()]
        assert shapes == expected["param_shapes"]
        assert convolution.groups == expected["group"]
        assert convolution.stride == (expected["stride"],) * 2
        if style == "released":
            assert convolution.padding == (expected["pad"],) * 2


@pytest.mark.slow
def test_torchvisions_vgg16_as_convolutions_classifies_alike():
    """fc6 and fc7 as convolutions give on 224 x 224 what the linear layers give."""
    torch.manual_seed(0)
    classifier = torchvision.models.vgg16(weights=None).eval()
    trunk = vgg16(["pool5", "fc7"], style="released").eval()
    load_torchvision_vgg16(trunk, classifier.state_dict())
    trunk.conv1_1.padding = (1, 1)
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        pool5, fc7 = trunk(image)
        maps = classifier.features(image)
        expected = classifier.classifier[:5](maps.flatten(1))
    torch.testing.assert_close(pool5, maps)
    assert fc7.shape == (1, 4096, 1, 1)
    torch.testing.assert_close(fc7.flatten(1), expected, rtol=1e-4, atol=1e-5)


def test_the_large_field_of_view_takes_every_nth_filter_of_vgg16(monkeypatch):
    with torch.device("meta"):
        shapes = torchvision.models.vgg16(weights=None).state_dict()
    weights = {
        name: torch.zeros(1).expand(t.shape)
        for name, t in shapes.items()
        if "classifier.6" not in name
    }
    places = torch.arange(49.0).view(1, 1, 7, 7)
    weights["classifier.0.weight"] = places.expand(4096, 512, 7, 7).reshape(4096, -1)
    weights["classifier.3.bias"] = torch.arange(4096.0)
    monkeypatch.setattr("lookwider.backbones.vgg.torchvision_weights", lambda name: weights)
    trunk = vgg16_largefov(pretrained=True)
    assert trunk.fc6.weight[5, 7].tolist() == [[0, 3, 6], [21, 24, 27], [42, 45, 48]]
    assert trunk.fc7.bias[:3].tolist() == [0, 4, 8]
    assert trunk.preprocessing.order == "rgb"  # as torchvision's weights want it


def test_torchvisions_googlenet_weights_fit(monkeypatch):
    network = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=True)
    monkeypatch.setattr(
        "lookwider.backbones.googlenet.torchvision_weights", lambda name: network.state_dict()
    )
    trunk = googlenet_torchvision(["inception3a"], pretrained=True)
    assert torch.equal(trunk.conv1.conv.weight, network.conv1.conv.weight)
    assert trunk.preprocessing.mean == (0.5, 0.5, 0.5)


def test_no_network_is_an_error_that_says_what_to_do(monkeypatch):
    def offline(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(ConfigError, match=r"could not be downloaded .*Name or service not known"):
        pretrained.torchvision_weights("vgg16")


def test_pretrained_where_there_are_no_weights():
    with pytest.raises(ConfigError, match="torchvision's AlexNet has no groups"):
        create_backbone("alexnet", pretrained=True)
    with pytest.raises(ConfigError, match="use backbone='googlenet_torchvision'"):
        create_backbone("googlenet", pretrained=True)
    with pytest.raises(ConfigError, match="weights are for 3 bands, got 5"):
        create_backbone("vgg16", pretrained=True, in_channels=5)


def test_any_layer_by_name():
    with torch.device("meta"):
        trunk = create_backbone("vgg16", layers=["pool2", "conv1_2"])
    assert trunk.layers == ("conv1_2", "pool2")
    assert trunk.channels == (64, 128)
    assert trunk.grids == (Grid(1, 0), Grid(4, 1.5))
    with pytest.raises(ConfigError, match="unknown layer of vgg16 'conv4_4'; did you mean"):
        create_backbone("vgg16", layers=["conv4_4"])
    with pytest.raises(ConfigError, match="unknown layer of resnet18 'stride64'"):
        create_backbone("resnet18", layers=["stride64"])
    with pytest.raises(ConfigError, match="resnet18 needs at least one layer"):
        create_backbone("resnet18", layers=[])


def test_a_layer_includes_its_relu():
    trunk = create_backbone("alexnet", layers=["conv1"]).eval()
    assert (trunk(torch.randn(1, 3, 8, 8))[0] >= 0).all()


def test_unknown_trunks():
    with pytest.raises(ConfigError, match="unknown backbone 'resnet81'; did you mean"):
        create_backbone("resnet81")
    with pytest.raises(ConfigError, match=r"known: .*resnet18"):
        stride_layers("resnet1")


@pytest.mark.parametrize("bands", [1, 5])
@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet18"])
def test_other_numbers_of_bands(name, bands):
    trunk = create_backbone(name, in_channels=bands).eval()
    with torch.no_grad():
        maps = trunk(torch.randn(1, bands, 40, 33))
    assert tuple(m.shape[1] for m in maps) == trunk.channels
    assert trunk.preprocessing.in_channels == bands


@pytest.mark.parametrize(
    ("name", "offset"),
    [("resnet18", 0), ("convnext_atto", 15.5), ("swin_tiny_patch4_window7_224", 15.5)],
)
def test_timm_trunks_take_any_size(name, offset):
    trunk = create_backbone(name).eval()
    assert trunk.grids[-1] == Grid(32, offset)
    for size in [(1, 1), (37, 65)]:
        with torch.no_grad():
            maps = trunk(torch.randn(1, 3, *size))
        for feature, grid in zip(maps, trunk.grids, strict=True):
            assert feature.shape[2] >= -(-size[0] // grid.stride)
            assert feature.shape[3] >= -(-size[1] // grid.stride)


def test_a_trunk_of_timm_says_which_images_it_takes_none_of():
    trunk = create_backbone("pvt_v2_b0", layers=["stages.0"]).eval()
    with pytest.raises(
        LookwiderError, match=r"the trunk pvt_v2_b0 takes no images of 1x2 pixels \(.*Kernel size"
    ):
        trunk(torch.randn(1, 3, 1, 2))
    with pytest.raises(RuntimeError, match=r"(?i)double"):  # not for the size
        trunk(torch.randn(1, 3, 64, 64, dtype=torch.float64))


def test_a_trunk_of_timm_for_its_own_size_alone():
    with pytest.raises(ConfigError, match=r"takes none of 224x224 pixels \(height \(28\) must be"):
        create_backbone("maxvit_pico_rw_256")
