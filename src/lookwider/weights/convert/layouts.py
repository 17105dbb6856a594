"""How the releases store their networks: names, shapes and what gives each away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

from lookwider.weights.convert.caffe_names import (
    fcn_blob,
    parsenet_blob,
    pspnet_blob,
    trunk_blob,
)
from lookwider.weights.convert.semseg_names import semseg_key
from lookwider.weights.convert.torchvision_names import torchvision_key
from lookwider.weights.convert.wkentaro_names import wkentaro_key

CAFFE_BINS = (6, 3, 2, 1)
"""Order in which the released PSPNets concatenate their regions."""


@dataclass(frozen=True)
class Layout:
    """How one release stores one architecture.

    Attributes:
        what: the network and the release, in words.
        names: from our name of a parameter to theirs; None where they have none.
        architecture: keywords of `lookwider.create_model`, without classes.
        scores: head -> the parameter whose first dimension is its number of classes; empty for
            a classifier, which only gives a trunk.
        present: parameters that give this layout away.
        absent: parameters of other layouts that share those.
        sizes: parameter -> how many values it has, where names are not enough.
        constants: fixed weights that lookwider computes -> the value that all of them have.
        filters: the bilinear deconvolutions are stored, and whether they were learned shows.
        unused: layers that only the classifier had.
        aux: a parameter of the training's auxiliary head, which a file may leave out.
        caffe: shapes may have leading ones, and linear layers stand for convolutions.
    """

    what: str
    names: Callable[[str], str | None]
    architecture: Mapping[str, Any]
    scores: Mapping[str, str]
    present: tuple[str, ...]
    absent: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    filters: bool = False
    unused: tuple[str, ...] = ()
    aux: str = ""
    caffe: bool = False

    def fits(self, parameters: Mapping[str, Tensor]) -> bool:
        """Whether a file's parameters look like this layout."""
        return (
            all(key in parameters for key in (*self.present, *self.scores.values(), *self.sizes))
            and not any(key in parameters for key in self.absent)
            and all(parameters[key].dim() > 0 for key in self.scores.values())
            and all(parameters[key].numel() == count for key, count in self.sizes.items())
        )

    def class_counts(self, parameters: Mapping[str, Tensor]) -> dict[str, int]:
        """Return the number of classes of each head; of a classifier's, one that is not trained."""
        return {head: parameters[key].shape[0] for head, key in self.scores.items()} or {"main": 1}


def _caffe_fcn(
    model: str, last: str, *, backbone: str = "vgg16", geometric: bool = False
) -> Layout:
    heads = {"main": "_sem", "geometric": "_geo"} if geometric else {"main": ""}
    scales = {"scale_pool4[0]": 0.01, "scale_pool3[0]": 0.0001}
    atonce = model == "fcn8s_atonce"
    return Layout(
        what=f"FCN's Caffe release, {model} on {backbone}",
        names=partial(fcn_blob, last=last, heads=heads),
        architecture={"name": model, "backbone": backbone, "style": "released"},
        scores={head: f"score_fr{suffix}[0]" for head, suffix in heads.items()},
        present=(
            "conv1_1[0]" if backbone == "vgg16" else "conv1[0]",
            *(f"{last}{suffix}[0]" for suffix in heads.values()),
            *(scales if atonce else ()),
        ),
        absent=() if atonce else tuple(scales),
        constants=scales if atonce else {},
        filters=True,
        caffe=True,
    )


def _wkentaro_fcn(model: str, last: str) -> Layout:
    return Layout(
        what=f"wkentaro/pytorch-fcn, {model}",
        names=partial(wkentaro_key, last=last),
        architecture={"name": model, "backbone": "vgg16", "style": "released"},
        scores={"main": "score_fr.weight"},
        present=("conv1_1.weight", f"{last}.weight"),
        filters=True,
    )


def _trunk(what: str, *, model: str, backbone: str, first: str, fc6: int, **options: str) -> Layout:
    return Layout(
        what=what,
        names=trunk_blob,
        architecture={"name": model, "backbone": backbone, **options},
        scores={},
        present=(first, "fc7[0]"),
        absent=("score_fr[0]", "score_fr_sem[0]", "fc7_norm[0]"),
        sizes={"fc6[0]": fc6},
        unused=("fc8",),
        caffe=True,
    )


def _caffe_pspnet(depth: int, stride_on: str) -> Layout:
    last, further = {50: (6, 7), 101: (23, 24)}[depth]
    return Layout(
        what=f"PSPNet's Caffe release, ResNet-{depth}",
        names=partial(pspnet_blob, bins=CAFFE_BINS),
        architecture={
            "name": "pspnet",
            "backbone": f"resnet{depth}_psp",
            "bins": list(CAFFE_BINS),
            "stride_on": stride_on,
            "aux": False,
        },
        scores={"main": "conv6[0]"},
        present=("conv5_3_pool1_conv[0]", f"conv4_{last}_3x3[0]"),
        absent=(f"conv4_{further}_3x3[0]",),
        caffe=True,
    )


def _semseg(depth: int) -> Layout:
    blocks = {50: 6, 101: 23, 152: 36}[depth]
    return Layout(
        what=f"semseg's PSPNet, ResNet-{depth}",
        names=semseg_key,
        architecture={
            "name": "pspnet",
            "backbone": f"resnet{depth}_psp",
            "bins": [1, 2, 3, 6],
            "stride_on": "3x3",
        },
        scores={"main": "cls.4.weight"},
        present=("ppm.features.0.1.weight", f"layer3.{blocks - 1}.conv1.weight"),
        absent=(f"layer3.{blocks}.conv1.weight",),
        aux="aux.4.weight",
    )


def _torchvision(depth: int) -> Layout:
    blocks = {50: 6, 101: 23}[depth]
    return Layout(
        what=f"torchvision's fcn_resnet{depth}",
        names=torchvision_key,
        architecture={
            "name": "pspnet",
            "backbone": f"resnet{depth}",
            "bins": [],
            "dilation": "torchvision",
            "alignment": "half_pixel",
        },
        scores={"main": "classifier.4.weight"},
        present=("classifier.0.weight", f"backbone.layer3.{blocks - 1}.conv1.weight"),
        absent=(f"backbone.layer3.{blocks}.conv1.weight",),
        aux="aux_classifier.4.weight",
    )


FCN32S, FCN16S, FCN8S, FCN8S_ATONCE = (
    _caffe_fcn("fcn32s", "upscore"),
    _caffe_fcn("fcn16s", "upscore16"),
    _caffe_fcn("fcn8s", "upscore8"),
    _caffe_fcn("fcn8s_atonce", "upscore8"),
)
FCN_ALEXNET = _caffe_fcn("fcn32s", "upscore", backbone="alexnet")
GEOMETRIC_FCN32S, GEOMETRIC_FCN16S, GEOMETRIC_FCN8S = (
    _caffe_fcn("fcn32s", "upscore", geometric=True),
    _caffe_fcn("fcn16s", "upscore16", geometric=True),
    _caffe_fcn("fcn8s", "upscore8", geometric=True),
)
WKENTARO = {
    "fcn32s": _wkentaro_fcn("fcn32s", "upscore"),
    "fcn16s": _wkentaro_fcn("fcn16s", "upscore16"),
    "fcn8s": _wkentaro_fcn("fcn8s", "upscore8"),
    "fcn8s-atonce": _wkentaro_fcn("fcn8s_atonce", "upscore8"),
}
PARSENET = Layout(
    what="ParseNet's Caffe release",
    names=parsenet_blob,
    architecture={"name": "parsenet", "backbone": "vgg16_largefov"},
    scores={"main": "fc7_norm_score21[0]"},
    present=("fc7_norm[0]", "pool6_1x1_norm[0]", "upscore21[0]"),
    caffe=True,
)
PSPNET50, PSPNET101 = _caffe_pspnet(50, "1x1"), _caffe_pspnet(101, "3x3")
SEMSEG50, SEMSEG101, SEMSEG152 = _semseg(50), _semseg(101), _semseg(152)
TORCHVISION50, TORCHVISION101 = _torchvision(50), _torchvision(101)
VGG16_TRUNK = _trunk(
    "the ImageNet classifier VGG16, as a trunk",
    model="fcn32s",
    backbone="vgg16",
    first="conv1_1[0]",
    fc6=4096 * 512 * 7 * 7,
    style="released",
    upsampling="fixed",
)
LARGEFOV_TRUNK = _trunk(
    "the ImageNet classifier VGG16 with reduced fc6 and fc7, as a trunk",
    model="parsenet",
    backbone="vgg16_largefov",
    first="conv1_1[0]",
    fc6=1024 * 512 * 3 * 3,
)
CAFFENET_TRUNK = _trunk(
    "the ImageNet classifier CaffeNet, as a trunk",
    model="fcn32s",
    backbone="alexnet",
    first="conv1[0]",
    fc6=4096 * 256 * 6 * 6,
    style="released",
    upsampling="fixed",
)
