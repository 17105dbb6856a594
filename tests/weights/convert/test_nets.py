"""Which network a file holds: by names and shapes, and with ``--net`` where they do not tell."""

from __future__ import annotations

import pytest
import torch
from tests.weights.convert.layer_lists import described, parameter_layers

from lookwider.errors import CheckpointError, ConfigError
from lookwider.known_classes import ADE20K, PASCAL_CONTEXT_60, SIFT_FLOW, SIFT_FLOW_GEOMETRIC, VOC
from lookwider.weights.convert.nets import NETS, recognise

LISTS = {
    **{name: name for name in NETS if name.startswith(("voc-", "siftflow-", "pascalcontext-"))},
    "parsenet_VGG_VOC2012ext_context60": "parsenet-pascalcontext",
    "pspnet50_ADE20K_473": "pspnet50_ADE20K",
    "pspnet101_VOC2012_473": "pspnet101_VOC2012",
    "pspnet101_cityscapes_713": "pspnet101_cityscapes",
}
"""Layer lists of the Caffe releases -> the network that they are."""

STATE_DICTS = {
    "wkentaro/FCN32s": "wkentaro-fcn32s",
    "wkentaro/FCN16s": "wkentaro-fcn16s",
    "semseg/PSPNet50_150_train(with aux)": "semseg-pspnet50-ade20k",
    "semseg/PSPNet101_21_train(with aux)": "semseg-pspnet101-voc2012",
    "torchvision/fcn_resnet50": "torchvision-fcn_resnet50",
    "torchvision/fcn_resnet101": "torchvision-fcn_resnet101",
}

TRUNKS = {
    "vgg16-imagenet": ("voc-fcn32s", (4096, 512 * 7 * 7)),
    "vgg16-largefov-imagenet": ("parsenet_VGG_VOC2012ext_context60", (1024, 512, 3, 3)),
    "caffenet-imagenet": ("voc-fcn-alexnet", (4096, 256 * 6 * 6)),
}


def empty(shapes):
    """Return parameters without values; those without dimensions are counters."""
    kinds = {True: torch.float32, False: torch.int64}
    return {
        name: torch.empty(shape, dtype=kinds[len(shape) > 0], device="meta")
        for name, shape in shapes.items()
    }


def trunk(facts, net):
    """A classifier as Caffe stores it: the layers up to fc7, and a fc8 of 1000 classes."""
    source, fc6 = TRUNKS[net]
    shapes = {}
    for name, _, blobs in parameter_layers(facts(f"layers_{source}")["layers"]):
        if name.startswith(("conv", "fc")) and "norm" not in name:
            shapes |= {f"{name}[{i}]": shape for i, shape in enumerate(blobs)}
    assert len(shapes) in (16, 30) or net == "caffenet-imagenet"
    return empty(shapes | {"fc6[0]": fc6, "fc8[0]": (1000, fc6[0]), "fc8[1]": (1000,)})


@pytest.mark.parametrize("layers", LISTS)
def test_caffe_releases(facts, layers):
    assert recognise(described(facts(f"layers_{layers}")["layers"])) == NETS[LISTS[layers]]


@pytest.mark.parametrize("name", STATE_DICTS)
def test_state_dicts(facts, name):
    net = recognise(empty(facts("state_dicts")[name]["state_dict"]))
    assert net == NETS[STATE_DICTS[name]]


@pytest.mark.parametrize("name", TRUNKS)
def test_classifiers_are_trunks(facts, name):
    net = recognise(trunk(facts, name))
    assert net == NETS[name]
    assert net.is_trunk
    assert not NETS["voc-fcn32s"].is_trunk


def test_what_the_networks_expect_of_an_image():
    means = {name: net.preprocessing.mean for name, net in NETS.items()}
    assert means["siftflow-fcn8s"] == (114.578, 115.294, 108.353)
    assert means["pspnet50_ADE20K"] == (103.939, 116.779, 123.68)
    assert {net.preprocessing.order for net in NETS.values() if net.layout.caffe} == {"bgr"}
    assert NETS["semseg-pspnet50-ade20k"].preprocessing.order == "rgb"
    assert NETS["wkentaro-fcn8s"].preprocessing == NETS["voc-fcn8s"].preprocessing
    assert NETS["siftflow-fcn8s"].classes == SIFT_FLOW
    assert NETS["siftflow-fcn8s"].extra_classes == {"geometric": SIFT_FLOW_GEOMETRIC}
    assert NETS["pascalcontext-fcn8s"].classes == PASCAL_CONTEXT_60
    assert NETS["pspnet50_ADE20K"].classes == ADE20K
    assert NETS["torchvision-fcn_resnet50"].classes == VOC


def test_other_numbers_of_classes_are_numbered(facts):
    shapes = facts("state_dicts")["semseg/PSPNet50_150_train(with aux)"]["state_dict"]
    net = recognise(empty(shapes | {"cls.4.weight": [7, 512, 1, 1]}))
    assert net.name == "semseg-pspnet50-ade20k"
    assert net.classes.names[:2] == ("class 0", "class 1")
    assert len(net.classes) == 7
    voc = recognise(empty(shapes | {"cls.4.weight": [21, 512, 1, 1]}))
    assert voc == NETS["semseg-pspnet50-voc2012"]
    parameters = described(facts("layers_siftflow-fcn16s")["layers"])
    parameters["score_fr_geo[0]"] = torch.empty(5, 4096, 1, 1, device="meta")
    net = recognise(parameters)
    assert net.classes == SIFT_FLOW
    assert net.extra_classes["geometric"].names[-1] == "class 4"


def test_files_that_look_the_same_need_a_name(facts):
    parameters = empty(facts("state_dicts")["wkentaro/FCN8s"]["state_dict"])
    with pytest.raises(CheckpointError, match="fits wkentaro-fcn8s and wkentaro-fcn8s-atonce"):
        recognise(parameters)
    for name in ("wkentaro-fcn8s", "wkentaro-fcn8s-atonce"):
        assert recognise(parameters, name) == NETS[name]
    parameters["score_fr.weight"] = torch.empty(4, 4096, 1, 1, device="meta")
    with pytest.raises(CheckpointError, match="say which it is with --net wkentaro-fcn8s or"):
        recognise(parameters)
    assert len(recognise(parameters, "wkentaro-fcn8s-atonce").classes) == 4


def test_wrong_names(facts):
    parameters = described(facts("layers_voc-fcn16s")["layers"])
    with pytest.raises(ConfigError, match="unknown net 'voc-fcn16'; did you mean 'voc-fcn16s'"):
        recognise(parameters, "voc-fcn16")
    fits = (
        "does not fit --net voc-fcn8s; its names and shapes fit: pascalcontext-fcn16s, voc-fcn16s"
    )
    with pytest.raises(CheckpointError, match=fits):
        recognise(parameters, "voc-fcn8s")
    with pytest.raises(CheckpointError, match="fit: none that is known"):
        recognise({}, "voc-fcn8s")


def test_scores_without_dimensions(facts):
    parameters = described(facts("layers_voc-fcn16s")["layers"])
    parameters["score_fr[0]"] = torch.zeros(())
    with pytest.raises(CheckpointError, match="got 36 parameters that fit no known network"):
        recognise(parameters)


@pytest.mark.parametrize("name", ["torchvision/deeplabv3_resnet50", "smp/PSPNet_resnet50_{}"])
def test_other_networks(facts, name):
    message = r"parameters that fit no known network: \w.* and \d+ more; known: voc-fcn32s, "
    with pytest.raises(CheckpointError, match=message):
        recognise(empty(facts("state_dicts")[name]["state_dict"]))
