"""How much a network relies on its context, over many images."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.probes.by_hand import Pooled, averaging, plain
from torch import nn

from lookwider.classes import Classes
from lookwider.data import Sample, SceneDataset
from lookwider.errors import ConfigError, DataError
from lookwider.models import create_model
from lookwider.probes.swap import OtherImage, Zeros, context_reliance, swap_context
from lookwider.probes.swap.reliance import random_cycle

COLOURS = [0, 1, 2, 0, 2, 2]


def labelled(colours=COLOURS):
    """Return images of one colour, of several sizes, with their true labels."""
    return [
        Sample(plain(c, (4, 5 + i)), np.full((4, 5 + i), c, np.uint8), f"image {i}")
        for i, c in enumerate(colours)
    ]


@given(st.integers(2, 40), st.integers(0, 2**32))
def test_a_cycle_never_gives_an_image_its_own_context(count, seed):
    order = random_cycle(count, seed)
    assert sorted(order) == list(range(count))
    previous = dict(zip(order, [order[-1], *order[:-1]], strict=True))
    assert all(index != before for index, before in previous.items())


def test_a_decision_by_context_alone_becomes_the_previous_images():
    samples, order = labelled(), random_cycle(len(COLOURS), 3)
    found = context_reliance(averaging(), samples, seed=3, show=False).results["other"]
    expected = torch.zeros(3, 3, dtype=torch.int64)
    for index, before in zip(order, [order[-1], *order[:-1]], strict=True):
        expected[COLOURS[index], COLOURS[before]] += samples[index].label.size
    assert torch.equal(found.moves.counts, expected)
    assert torch.equal(found.truth_after, expected)  # before, every pixel is right
    assert found.mean_iou_before == 1
    assert found.share_changed == 1 - int(expected.diagonal().sum()) / int(expected.sum())
    assert found.class_changed[1] == 1  # the only green image gets another's context


def test_a_decision_without_the_context_relies_on_nothing():
    model = averaging(local=1.0, context=0.0)
    for result in context_reliance(model, labelled(), show=False).results.values():
        assert result.share_changed == 0
        assert set(result.class_variation) == {0.0}
        assert result.mean_iou_after == 1


def test_it_is_the_sum_of_single_swaps():
    torch.manual_seed(0)
    model = create_model(
        "pspnet", backbone="test_resnet", output_stride=32, classes=SceneDataset(1).classes
    )
    data = SceneDataset(4, size=(32, 40))
    found = context_reliance(model, data, seed=5, replacements=("zeros", "other"), show=False)
    order = random_cycle(4, 5)
    assert list(found.results) == ["zeros", "other"]
    for kind in found.results:
        counts = torch.zeros(21, 21, dtype=torch.int64)
        variation = torch.zeros(21, dtype=torch.float64)
        for index, before in zip(order, [order[-1], *order[:-1]], strict=True):
            stand_in = Zeros() if kind == "zeros" else OtherImage(data[before].image)
            moves = swap_context(model, data[index].image, stand_in).moves
            counts, variation = counts + moves.counts, variation + moves.variation
        assert torch.equal(found.results[kind].moves.counts, counts)
        assert torch.equal(found.results[kind].moves.variation, variation)
    assert found.labelled
    again = context_reliance(model, data, seed=5, replacements=("zeros", "other"), show=False)
    assert again.to_json() == found.to_json()


def test_the_mean_is_over_the_same_images():
    found = context_reliance(averaging(), labelled(), limit=5, show=False).results["mean"]
    # of the five images two are red, two blue: the lower id wins
    assert (found.moves.counts[:, 1:] == 0).all()
    assert found.class_changed == (0.0, 1.0, 1.0)


def test_images_without_labels_have_no_iou():
    images = [sample.image for sample in labelled()]
    found = context_reliance(averaging(), images, show=False)
    assert not found.labelled
    assert found.results["other"].class_iou_before is None
    assert math.isnan(found.results["other"].mean_iou_after)
    with_labels = context_reliance(averaging(), labelled(), show=False)
    for kind, result in found.results.items():
        assert torch.equal(result.moves.counts, with_labels.results[kind].moves.counts)


def test_a_layer_of_any_module():
    found = context_reliance(Pooled(), labelled(), layer="pool", show=False)
    assert found.classes.names == ("class 0", "class 1", "class 2")
    halfway = context_reliance(averaging(), labelled(), show=False)
    for kind, result in found.results.items():
        assert torch.equal(result.truth_after, halfway.results[kind].truth_after)


def test_a_coarse_output_has_no_truth_to_compare_with():
    class Coarse(nn.Module):
        def __init__(self):
            super().__init__()
            self.whole = Pooled()
            self.halved = nn.AvgPool2d(2)

        def forward(self, images):
            return self.halved(self.whole(images))

    found = context_reliance(Coarse(), labelled(), layer="whole.pool", show=False)
    assert not found.labelled
    assert found.results["other"].share_changed > 0


def test_mistakes_are_named():
    model = averaging()
    with pytest.raises(ConfigError, match="unknown replacement 'none'; known: mean, other, zeros"):
        context_reliance(model, labelled(), replacements=("none",), show=False)
    with pytest.raises(ConfigError, match=r"got replacements \['mean', 'mean'\], expected some of"):
        context_reliance(model, labelled(), replacements=("mean", "mean"), show=False)
    with pytest.raises(DataError, match="got 1 images, expected at least 2"):
        context_reliance(model, labelled([0]), show=False)
    with pytest.raises(ConfigError, match="got limit=1, expected at least 2"):
        context_reliance(model, labelled(), limit=1, show=False)
    with pytest.raises(DataError, match="the data's classes are not the model's"):
        context_reliance(model, SceneDataset(2, size=(32, 32)), show=False)
    fcn = create_model("fcn32s", backbone="test_resnet", classes=Classes.numbered(3))
    with pytest.raises(ConfigError, match="has no context to swap"):
        context_reliance(fcn, labelled(), show=False)
    wrong = [Sample(s.image, s.label[:-1], s.name) for s in labelled()]
    with pytest.raises(
        DataError, match=r"image \d: got labels of \(3, \d+\), expected the image's size"
    ):
        context_reliance(model, wrong, show=False)
    with pytest.raises(DataError, match=r"got scores of 3 classes, the data has 21"):
        context_reliance(Pooled(), SceneDataset(2, size=(32, 32)), layer="pool", show=False)


def test_one_image_is_enough_without_another():
    found = context_reliance(averaging(), labelled([2]), replacements=("zeros",), show=False)
    assert found.results["zeros"].share_changed == 1


def test_files_and_table(tmp_path):
    found = context_reliance(averaging(), labelled(), show=False)
    paths = found.save(tmp_path / "out")
    assert [path.name for path in paths] == ["reliance.json", "reliance.png"]
    content = json.loads(paths[0].read_text())
    assert content["images"] == 6
    assert content["class_names"] == ["red", "green", "blue"]
    assert set(content["replacements"]) == {"other", "mean", "zeros"}
    assert content["replacements"]["other"]["mean_iou_before"] == 1.0
    with Image.open(paths[1]) as image:
        assert image.width > 800
    table = found.table()
    assert [str(cell) for cell in table.columns[0].cells] == ["red", "green", "blue"]
    assert len(table.columns) == 8
    images = [sample.image for sample in labelled()]
    assert len(context_reliance(averaging(), images, show=False).table().columns) == 4
    assert context_reliance(averaging(), images, show=False).picture()[:4] == b"\x89PNG"
