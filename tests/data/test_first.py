import numpy as np
import pytest

from lookwider.data import SceneDataset, SegmentationDataset
from lookwider.data.first import FirstSamples
from lookwider.errors import ConfigError


def test_the_first_samples_are_a_data_set():
    whole = SceneDataset(4, size=(32, 40))
    first = FirstSamples(whole, 3)
    assert isinstance(first, SegmentationDataset)
    assert first.names == tuple(whole.names[:3])
    assert (len(first), first.classes, first.in_channels) == (3, whole.classes, 3)
    assert (first.class_map, first.extra_classes) == (whole.class_map, whole.extra_classes)
    for index in (0, 2, -1):
        np.testing.assert_array_equal(first[index].image, whole[index % 3].image)
    with pytest.raises(IndexError):
        first[3]
    assert len(FirstSamples(whole, 9)) == 4


def test_none_is_no_data_set():
    with pytest.raises(ConfigError, match="got limit=0, expected at least 1"):
        FirstSamples(SceneDataset(4, size=(32, 40)), 0)
