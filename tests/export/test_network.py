"""The exportable network computes what the model computes, whatever the size."""

from __future__ import annotations

import pytest
import torch
from tests.export.conftest import KINDS
from torch import nn
from torch.nn import functional

from lookwider.backbones.googlenet import CeilMaxPool
from lookwider.errors import LookwiderError
from lookwider.export.network import ExportableNetwork
from lookwider.export.trunks import PaddedMaxPool, exportable_trunk
from lookwider.models import Segmenter, create_model

SIZES = ((1, 1, 1), (1, 7, 3), (2, 16, 17), (1, 33, 20), (1, 5, 64))


def check(model: Segmenter) -> None:
    network = ExportableNetwork(model).eval()
    for batch, height, width in SIZES:
        images = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            wanted, got = model(images), network(images)
        assert got.shape == wanted.shape
        assert float((got - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_model(tiny, kind):
    check(tiny(kind))


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_vit"])
def test_trunks_that_pad_and_pool(backbone):
    torch.manual_seed(0)
    stride = {"finest_stride": 16} if backbone == "test_vit" else {"finest_stride": 8}
    check(create_model("fcn", backbone=backbone, num_classes=2, zero_scores=False, **stride).eval())


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 0), (3, 2, 1)])
def test_padded_pooling_is_pooling_in_ceil_mode(kernel, stride, padding):
    for length in range(max(1, kernel - 2 * padding), 20):
        maps = torch.randn(1, 2, length, 20 - length + kernel)
        wanted = functional.max_pool2d(maps, kernel, stride, padding, ceil_mode=True)
        assert torch.equal(PaddedMaxPool(kernel, stride, padding)(maps), wanted)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 1), (5, 3)])
def test_padded_pooling_of_single_cells(size):
    maps = torch.randn(1, 2, *size)
    assert torch.equal(PaddedMaxPool(3, 2)(maps), CeilMaxPool()(maps))


def test_labels_are_those_of_the_logits_the_lower_where_equal(tiny):
    model = tiny("pspnet")
    images = torch.randn(1, 3, 9, 14)
    labels = ExportableNetwork(model, labels=True).eval()(images)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), model(images).argmax(1))
    for parameter in model.heads.parameters():
        nn.init.zeros_(parameter)
    assert not ExportableNetwork(model, labels=True).eval()(images).any()


def test_raw_images_are_normalised_inside(tiny):
    model = tiny("fcn paper")
    raw = torch.randint(0, 256, (2, 3, 9, 8), dtype=torch.uint8)
    got = ExportableNetwork(model, preprocess=True).eval()(raw)
    assert torch.allclose(got, model(model.preprocessing.normalise(raw)), rtol=1e-4, atol=1e-4)


def test_weights_are_shared_and_the_model_stays_as_it_is(tiny):
    model = tiny("fcn paper")
    copied = exportable_trunk(model.backbone)
    assert isinstance(model.backbone.pool1, nn.MaxPool2d)
    assert isinstance(copied.pool1, PaddedMaxPool)
    assert copied.conv1.weight is model.backbone.conv1.weight


class OwnHead(nn.Module):
    """A head that nobody here knows."""


def test_a_head_of_somebody_s_own_is_refused(tiny):
    model = tiny("pspnet")
    model.heads["main"] = OwnHead()
    with pytest.raises(LookwiderError, match=r"cannot export a model with a OwnHead of its own"):
        ExportableNetwork(model)
