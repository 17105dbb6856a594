"""The loss of a step: the main head's, and the others' by their weight."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lookwider.data.sample import Batch
from lookwider.models import create_model
from lookwider.training.recipes import configure
from lookwider.training.task import SegmentationTask


def batch(**extra: torch.Tensor) -> Batch:
    """Return two random images with labels."""
    torch.manual_seed(0)
    labels = torch.randint(0, 4, (2, 33, 41))
    return Batch(torch.randn(2, 3, 33, 41), labels, ("a", "b"), dict(extra))


@pytest.mark.parametrize("weight", [0.4, 0.9])
def test_the_auxiliary_loss_counts_by_its_weight(weight):
    torch.manual_seed(0)
    model = create_model("pspnet", backbone="resnet18", num_classes=4, dropout=0.0).train()
    config = configure("pspnet", {"aux_weight": weight})
    given = batch()
    scores = model.scores(given.images)
    main, aux = (
        functional.cross_entropy(scores[head].logits(), given.labels) for head in ("main", "aux")
    )
    loss = SegmentationTask(model, config, max_steps=1).loss(given, 0)
    torch.testing.assert_close(loss, main + weight * aux)


def test_a_head_with_its_own_labels_counts_fully():
    torch.manual_seed(0)
    model = create_model(
        "parsenet",
        backbone="resnet18",
        num_classes=4,
        extra_classes={"geometric": 3},
        context_dropout=0.0,
    ).train()
    own = torch.randint(0, 3, (2, 33, 41))
    given = batch(geometric=own)
    scores = model.scores(given.images)
    expected = functional.cross_entropy(scores["main"].logits(), given.labels)
    expected = expected + functional.cross_entropy(scores["geometric"].logits(), own)
    loss = SegmentationTask(model, configure("parsenet"), max_steps=1).loss(given, 0)
    torch.testing.assert_close(loss, expected)


def test_hard_pixels_alone_count():
    torch.manual_seed(0)
    model = create_model("pspnet", backbone="resnet18", num_classes=4, dropout=0.0).train()
    config = configure("pspnet", {"loss_sampling": "hard", "loss_keep": 0.25})
    given = batch()
    scores = model.scores(given.images)
    main, aux = (
        functional.cross_entropy(scores[head].logits(), given.labels, reduction="none")
        .flatten()
        .topk(-(-given.labels.numel() // 4))
        .values.mean()
        for head in ("main", "aux")
    )
    loss = SegmentationTask(model, config, max_steps=1).loss(given, 0)
    torch.testing.assert_close(loss, main + config.aux_weight * aux)
