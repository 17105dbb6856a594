"""The papers' tables as data, and the registry of them."""

from __future__ import annotations

from lookwider.ablation.published import Published
from lookwider.ablation.table import AblationTable, Row
from lookwider.errors import ConfigError, unknown_name


def find_table(name: str) -> AblationTable:
    """Return a table by its name.

    Raises:
        ConfigError: there is none of this name (lists them and the closest).
    """
    if name not in TABLES:
        raise ConfigError(unknown_name("table", name, TABLES))
    return TABLES[name]


def _fcn_rows() -> tuple[Row, ...]:
    """FCN, table 2, and FCN-8s trained at once with each kind of upsampling."""
    at_once = "FCN-8s at once"
    release = Published(65.4, source="release")
    return (
        Row("FCN-32s", "fcn32s", published=Published(59.4, 89.1)),
        Row(
            "FCN-32s-fixed",
            "fcn32s",
            {"freeze_trunk": True},
            published=Published(45.4, 83.0),
        ),
        Row("FCN-16s", "fcn16s", {}, Published(62.4, 90.0), "FCN-32s", 0.25),
        Row("FCN-8s", "fcn8s", {}, Published(62.7, 90.3), "FCN-16s", 0.1),
        Row(at_once, "fcn8s", {"upsampling": "paper"}, release),
        Row(f"{at_once}, fixed upsampling", "fcn8s", {"upsampling": "fixed"}),
        Row(f"{at_once}, learned upsampling", "fcn8s", {"upsampling": "learned"}),
        Row(f"{at_once}, interpolation", "fcn8s", {"upsampling": "interpolation"}),
    )


def _parsenet_layer_rows() -> tuple[Row, ...]:
    """ParseNet's table on PASCAL-Context: local layers by normalisation."""
    numbers: dict[tuple[str, int, bool], tuple[Published, Published]] = {
        ("fc7", 1, False): (_remembered(36.6), _remembered(36.2)),
        ("pool6+fc7", 1, True): (_remembered(38.2), _remembered(37.6)),
        ("pool6+fc7+conv5", 2, True): (_remembered(39.5), _remembered(39.9)),
        ("pool6+fc7+conv5+conv4", 3, True): (_remembered(36.5), _remembered(40.2)),
        ("pool6+fc7+conv5+conv4+conv3", 4, True): (
            Published(source="memory", remark="0.009 (diverged)"),
            Published(40.4, source="secondary"),
        ),
    }
    return tuple(
        Row(
            f"{label}, {'normalised' if normalise else 'plain'}",
            "parsenet",
            {"normalise": normalise} | ({} if pooled else {"context_layers": ()}),
            published[normalise],
            maps=maps,
        )
        for (label, maps, pooled), published in numbers.items()
        for normalise in (False, True)
    )


def _remembered(mean_iou: float) -> Published:
    return Published(mean_iou, source="memory")


def _parsenet_fusion_rows() -> tuple[Row, ...]:
    """ParseNet, section 3: how the image's feature joins the local ones."""
    return (
        Row(
            "baseline",
            "parsenet",
            {"context_layers": (), "normalise": False},
            Published(67.3, source="secondary"),
        ),
        Row("early fusion", "parsenet", {"fusion": "early"}),
        Row("late fusion", "parsenet", {"fusion": "late"}, Published(69.8, source="secondary")),
        Row("late fusion, learned merge", "parsenet", {"fusion": "late", "merge": "learned"}),
    )


def _pspnet_pooling_rows() -> tuple[Row, ...]:
    """PSPNet, table 1: bins, kind of pooling, and dimension reduction."""
    numbers: dict[tuple[str, str, str], Published] = {
        ("B1", "MAX", ""): Published(39.94, 79.46),
        ("B1", "AVE", ""): Published(40.07, 79.52),
        ("B1236", "MAX", ""): Published(40.18, 79.45),
        ("B1236", "AVE", ""): Published(41.07, 79.97),
        ("B1236", "MAX", "+DR"): Published(40.87, 79.61),
        ("B1236", "AVE", "+DR"): Published(41.68, 80.04),
    }
    bins = {"B1": (1,), "B1236": (1, 2, 3, 6)}
    pooling = {"MAX": "max", "AVE": "average"}
    rows = tuple(
        Row(
            f"{name}+{kind}{reduced}",
            "pspnet",
            {"bins": bins[name], "pooling": pooling[kind], "reduce": bool(reduced)},
            published,
        )
        for (name, kind, reduced), published in numbers.items()
    )
    return (Row("Baseline", "pspnet", {"bins": ()}, Published(37.23, 78.01)), *rows)


def _pspnet_aux_rows() -> tuple[Row, ...]:
    """PSPNet, table 2: weight of the auxiliary loss, without the pyramid."""
    numbers = {
        0.3: Published(37.01, 77.87),
        0.4: Published(37.23, 78.01),
        0.6: Published(37.09, 77.84),
        0.9: Published(36.99, 77.87),
    }
    without = Row("none", "pspnet", {"bins": (), "aux": False}, Published(35.82, 77.07))
    rows = [
        Row(f"{weight:g}", "pspnet", {"bins": (), "aux": True, "aux_weight": weight}, published)
        for weight, published in numbers.items()
    ]
    return (without, *rows)


def _pspnet_depth_rows() -> tuple[Row, ...]:
    """PSPNet, table 3: depth of the trunk, tested at one scale."""
    numbers = {
        50: Published(41.68, 80.04),
        101: Published(41.96, 80.64),
        152: Published(42.62, 80.80),
        269: Published(43.81, 80.88),
    }
    return tuple(
        Row(f"PSPNet({depth})", "pspnet", {"backbone": f"resnet{depth}_psp"}, published)
        for depth, published in numbers.items()
    )


_NEEDS_WEIGHTS = (
    "The papers start from ImageNet weights; without pretrained=true this starts from random ones."
)

TABLES: dict[str, AblationTable] = {
    "fcn": AblationTable(
        "fcn",
        "FCN: skips and upsampling",
        "Long, Shelhamer, Darrell 2015, table 2",
        "a subset of PASCAL VOC 2011 validation, VGG16 from ImageNet weights",
        _fcn_rows(),
        (
            "FCN-32s-fixed learns the last layer only: the trunk stays as it began. "
            + _NEEDS_WEIGHTS,
            "FCN-16s continues FCN-32s of the same seed at 1/4 of the learning rate, and FCN-8s "
            "continues FCN-16s at 1/10, so each has been trained longer than the one before; "
            "FCN-8s at once is trained as long as FCN-32s.",
            "The number of FCN-8s at once is that of the later release, whose FCN-32s has 63.6, "
            "FCN-16s 65.0 and FCN-8s 65.5 on the same images.",
        ),
    ),
    "parsenet_layers": AblationTable(
        "parsenet_layers",
        "ParseNet: local layers, with and without normalisation",
        "Liu, Rabinovich, Berg 2015, table of layers on PASCAL-Context",
        "PASCAL-Context, VGG16 from ImageNet weights",
        _parsenet_layer_rows(),
        (
            "pool6 is the average of the deepest map over the image. On a trunk other than "
            "vgg16_largefov, fc7, conv5, conv4 and conv3 are its maps from the deepest up.",
            _NEEDS_WEIGHTS,
        ),
    ),
    "parsenet_fusion": AblationTable(
        "parsenet_fusion",
        "ParseNet: early and late fusion",
        "Liu, Rabinovich, Berg 2015, section 3",
        "PASCAL VOC 2012 test, VGG16 LargeFOV from ImageNet weights",
        _parsenet_fusion_rows(),
        (
            "The paper finds early and late fusion about equal once features are normalised.",
            "The baseline has neither context nor normalisation.",
            _NEEDS_WEIGHTS,
        ),
    ),
    "pspnet_pooling": AblationTable(
        "pspnet_pooling",
        "PSPNet: bins, pooling and dimension reduction",
        "Zhao et al. 2017, table 1",
        "ADE20K validation, ResNet-50 from ImageNet weights",
        _pspnet_pooling_rows(),
        (_NEEDS_WEIGHTS,),
    ),
    "pspnet_aux": AblationTable(
        "pspnet_aux",
        "PSPNet: weight of the auxiliary loss",
        "Zhao et al. 2017, table 2",
        "ADE20K validation, ResNet-50 from ImageNet weights",
        _pspnet_aux_rows(),
        ("All rows are without the pyramid, as in the paper.", _NEEDS_WEIGHTS),
    ),
    "pspnet_depth": AblationTable(
        "pspnet_depth",
        "PSPNet: depth of the trunk",
        "Zhao et al. 2017, table 3, one scale",
        "ADE20K validation, from ImageNet weights",
        _pspnet_depth_rows(),
        (_NEEDS_WEIGHTS,),
    ),
    "systems": AblationTable(
        "systems",
        "The three systems on one trunk and schedule",
        "each paper's result",
        "PASCAL VOC 2012 test, each system on its own trunk, from ImageNet weights",
        (
            Row("FCN-8s", "fcn8s", published=Published(62.2)),
            Row("ParseNet", "parsenet", published=Published(69.8, source="secondary")),
            Row("PSPNet", "pspnet", published=Published(82.6)),
        ),
        (
            "The papers' systems differ in trunk and training too; here they do not, so the "
            "differences here are smaller and are those of the systems themselves.",
            _NEEDS_WEIGHTS,
        ),
    ),
}
"""Every table by its name."""
