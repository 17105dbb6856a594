"""A small model for tests, and the comparison of two."""

import torch

from lookwider.classes import Classes
from lookwider.models import create_model

CLASSES = Classes(("sky", "Straße", "[red]"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))


def make_model(**options):
    torch.manual_seed(0)
    return create_model("fcn32s", backbone="test_resnet", **({"classes": CLASSES} | options))


def same(a, b):
    ours, theirs = a.state_dict(), b.state_dict()
    return (
        ours.keys() == theirs.keys()
        and all(torch.equal(ours[name], theirs[name]) for name in ours)
        and (a.classes, a.extra_classes, a.class_map) == (b.classes, b.extra_classes, b.class_map)
        and (a.architecture, a.preprocessing) == (b.architecture, b.preprocessing)
    )
