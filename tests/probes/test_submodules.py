"""Parts of a network by name, and the images that instruments take."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lookwider.data import Sample, SceneDataset
from lookwider.errors import ConfigError, DataError, LookwiderError
from lookwider.probes.images import count_images, sample_of
from lookwider.probes.network import Network
from lookwider.probes.submodules import find_submodule, output_of

PARTS = nn.ModuleDict(
    {
        "head": nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1)),
        "aux": nn.Sequential(nn.Conv2d(3, 2, 1)),
    }
)
NETWORK = Network(PARTS, name="runs/a")


def test_a_part_is_found_by_its_name_or_the_end_of_it():
    assert find_submodule(NETWORK, "head.1") == ("head.1", PARTS["head"][1])
    assert find_submodule(NETWORK, "1") == ("head.1", PARTS["head"][1])
    assert find_submodule(NETWORK, "aux[0]") == ("aux[0]", PARTS["aux"])


def test_an_unknown_part_lists_the_closest():
    with pytest.raises(
        ConfigError, match=r"unknown layer 'haed.1' of runs/a; the closest are head.1"
    ):
        find_submodule(NETWORK, "haed.1")
    with pytest.raises(
        ConfigError, match=r"it has head, head\.0, head\.1, aux, aux\.0, of 5 layers"
    ):
        find_submodule(NETWORK, "")
    with pytest.raises(
        ConfigError, match=r"layer '0' may be any of: head.0, aux.0; name one in full"
    ):
        find_submodule(NETWORK, "0")


def test_the_output_that_a_name_means():
    one, two = torch.ones(1), torch.zeros(1)
    assert output_of("a", one) is one
    assert output_of("a[1]", (one, two)) is two
    with pytest.raises(LookwiderError, match=r"layer 'a' returned \[0\], \[1\]; name one of its"):
        output_of("a", (one, two))
    with pytest.raises(LookwiderError, match="layer 'a' returned no tensor"):
        output_of("a", "words")


def test_samples_paths_and_arrays(tmp_path):
    image = np.zeros((4, 5, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "b.png")
    given = [Sample(image, None, "a"), tmp_path / "b.png", image, Image.fromarray(image)]
    assert [sample_of(given, i).name for i in range(4)] == ["a", "b", "image_00002", "image_00003"]
    assert all(sample_of(given, i).image.shape == (4, 5, 3) for i in range(4))
    assert sample_of(SceneDataset(2), 1).label is not None
    with pytest.raises(DataError, match="no such file"):
        sample_of([Path("nowhere.png")], 0)


def test_how_many_images():
    assert count_images([1, 2, 3], None) == 3
    assert count_images([1, 2, 3], 2) == 2
    assert count_images([1, 2, 3], 9) == 3
