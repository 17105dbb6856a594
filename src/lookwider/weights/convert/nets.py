"""The networks that are known, with their classes and what they expect of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from lookwider.classes import Classes
from lookwider.errors import CheckpointError, ConfigError, unknown_name
from lookwider.known_classes import (
    ADE20K,
    CITYSCAPES,
    PASCAL_CONTEXT_60,
    SIFT_FLOW,
    SIFT_FLOW_GEOMETRIC,
    VOC,
)
from lookwider.preprocessing import CAFFE_VOC, IMAGENET, Preprocessing
from lookwider.weights.convert import layouts
from lookwider.weights.convert.layouts import Layout
from lookwider.weights.description import listed


def _bgr(*mean: float) -> Preprocessing:
    return Preprocessing(mean, std=(1.0, 1.0, 1.0), scale=1.0, order="bgr")


CAFFE_CONTEXT = _bgr(104.007, 116.669, 122.679)
CAFFE_SIFT_FLOW = _bgr(114.578, 115.294, 108.353)
CAFFE_PSPNET = _bgr(103.939, 116.779, 123.68)

UNTRAINED = Classes(("not trained",), ((0, 0, 0),))
"""The one class of a trunk: training gives it others."""


@dataclass(frozen=True)
class Net:
    """A network as it was released.

    Attributes:
        name: its name on the command line.
        layout: how it is stored.
        classes: what its main head tells apart.
        preprocessing: what its weights expect of an image.
        extra_classes: what further heads tell apart.
    """

    name: str
    layout: Layout
    classes: Classes
    preprocessing: Preprocessing
    extra_classes: Mapping[str, Classes] = field(default_factory=dict)

    @property
    def is_trunk(self) -> bool:
        """Whether there are no scores: it is there to begin training from."""
        return not self.layout.scores

    def fits_counts(self, counts: Mapping[str, int]) -> bool:
        """Whether these are the numbers of classes of its heads."""
        own = {"main": self.classes, **self.extra_classes}
        return counts == {head: len(classes) for head, classes in own.items()}

    def with_counts(self, counts: Mapping[str, int]) -> Net:
        """Return the same for other numbers of classes, which are then only numbered."""

        def classes(head: str, known: Classes) -> Classes:
            return known if len(known) == counts[head] else Classes.numbered(counts[head])

        extra = {head: classes(head, known) for head, known in self.extra_classes.items()}
        return replace(self, classes=classes("main", self.classes), extra_classes=extra)


_GEOMETRIC = {"geometric": SIFT_FLOW_GEOMETRIC}
_TABLE = (
    Net("voc-fcn32s", layouts.FCN32S, VOC, CAFFE_VOC),
    Net("voc-fcn16s", layouts.FCN16S, VOC, CAFFE_VOC),
    Net("voc-fcn8s", layouts.FCN8S, VOC, CAFFE_VOC),
    Net("voc-fcn8s-atonce", layouts.FCN8S_ATONCE, VOC, CAFFE_VOC),
    Net("voc-fcn-alexnet", layouts.FCN_ALEXNET, VOC, CAFFE_VOC),
    Net("pascalcontext-fcn32s", layouts.FCN32S, PASCAL_CONTEXT_60, CAFFE_CONTEXT),
    Net("pascalcontext-fcn16s", layouts.FCN16S, PASCAL_CONTEXT_60, CAFFE_CONTEXT),
    Net("pascalcontext-fcn8s", layouts.FCN8S, PASCAL_CONTEXT_60, CAFFE_CONTEXT),
    Net("siftflow-fcn32s", layouts.GEOMETRIC_FCN32S, SIFT_FLOW, CAFFE_SIFT_FLOW, _GEOMETRIC),
    Net("siftflow-fcn16s", layouts.GEOMETRIC_FCN16S, SIFT_FLOW, CAFFE_SIFT_FLOW, _GEOMETRIC),
    Net("siftflow-fcn8s", layouts.GEOMETRIC_FCN8S, SIFT_FLOW, CAFFE_SIFT_FLOW, _GEOMETRIC),
    Net("parsenet-voc2012ext", layouts.PARSENET, VOC, CAFFE_VOC),
    Net("parsenet-pascalcontext", layouts.PARSENET, PASCAL_CONTEXT_60, CAFFE_VOC),
    Net("pspnet50_ADE20K", layouts.PSPNET50, ADE20K, CAFFE_PSPNET),
    Net("pspnet101_VOC2012", layouts.PSPNET101, VOC, CAFFE_PSPNET),
    Net("pspnet101_cityscapes", layouts.PSPNET101, CITYSCAPES, CAFFE_PSPNET),
    Net("vgg16-imagenet", layouts.VGG16_TRUNK, UNTRAINED, CAFFE_VOC),
    Net("vgg16-largefov-imagenet", layouts.LARGEFOV_TRUNK, UNTRAINED, CAFFE_VOC),
    Net("caffenet-imagenet", layouts.CAFFENET_TRUNK, UNTRAINED, CAFFE_VOC),
    *(
        Net(f"semseg-pspnet{depth}-{data}", layout, classes, IMAGENET)
        for depth, layout in (
            (50, layouts.SEMSEG50),
            (101, layouts.SEMSEG101),
            (152, layouts.SEMSEG152),
        )
        for data, classes in (("ade20k", ADE20K), ("voc2012", VOC), ("cityscapes", CITYSCAPES))
    ),
    *(
        Net(f"wkentaro-{model}", layout, VOC, CAFFE_VOC)
        for model, layout in layouts.WKENTARO.items()
    ),
    Net("torchvision-fcn_resnet50", layouts.TORCHVISION50, VOC, IMAGENET),
    Net("torchvision-fcn_resnet101", layouts.TORCHVISION101, VOC, IMAGENET),
)

NETS: dict[str, Net] = {net.name: net for net in _TABLE}
"""Every known network by its name on the command line."""


def recognise(parameters: Mapping[str, Tensor], name: str | None = None) -> Net:
    """Return the network that parameters belong to, by their names and shapes.

    With another number of classes than any known network of that layout, the classes are
    numbered.

    Args:
        parameters: of a file, by the release's names.
        name: the network's name, where the file fits several.

    Raises:
        ConfigError: the name is not known.
        CheckpointError: no network fits, several do, or the one named does not.
    """
    fitting = [net for net in NETS.values() if net.layout.fits(parameters)]
    if name is not None:
        if name not in NETS:
            raise ConfigError(unknown_name("net", name, NETS))
        fitting = [_named(NETS[name], fitting)]
    if not fitting:
        raise CheckpointError(_unknown(parameters))
    counts = fitting[0].layout.class_counts(parameters)
    exact = [net for net in fitting if net.fits_counts(counts)]
    candidates = exact or list({net.layout.what: net for net in reversed(fitting)}.values())
    if len(candidates) > 1:
        names = sorted(net.name for net in candidates)
        raise CheckpointError(
            f"fits {' and '.join(names)}, whose files look the same; say which it is with "
            f"--net {names[0]} or --net {names[-1]}"
        )
    return candidates[0].with_counts(counts)


def _named(net: Net, fitting: list[Net]) -> Net:
    if net not in fitting:
        fits = listed((other.name for other in fitting), most=len(NETS)) or "none that is known"
        raise CheckpointError(f"does not fit --net {net.name}; its names and shapes fit: {fits}")
    return net


def _unknown(parameters: Mapping[str, Tensor]) -> str:
    return (
        f"got {len(parameters)} parameters that fit no known network: {listed(parameters)}; "
        f"known: {', '.join(NETS)}"
    )
