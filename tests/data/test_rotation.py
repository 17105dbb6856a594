"""A window of a rotated sample: what cutting it out of the whole rotated sample gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookwider.data.rotation import rotate, rotated_crop
from lookwider.data.sample import Sample
from lookwider.data.transforms import Compose, RandomCrop, RandomRotatedCrop, RandomRotation
from lookwider.data.warping import crop
from lookwider.errors import DataError

KINDS = (np.uint8, np.uint16, np.float32)
FILL = (120.3, 7.0, 250.9)


def make(height: int, width: int, kind: type[np.generic] = np.uint8, bands: int = 3) -> Sample:
    random = np.random.default_rng(height * 1000 + width)
    image = random.integers(0, 256, (height, width, bands)).astype(kind)
    label, extra = random.integers(0, 20, (2, height, width)).astype(np.uint8)
    return Sample(image, label, "a", {"geometric": extra})


def assert_equal(one: Sample, other: Sample) -> None:
    assert one.image.dtype == other.image.dtype
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.label, other.label)
    np.testing.assert_array_equal(one.extra_labels["geometric"], other.extra_labels["geometric"])


@settings(deadline=None, max_examples=150)
@given(
    image=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    corner=st.tuples(st.integers(-70, 70), st.integers(-70, 70)),
    degrees=st.one_of(st.floats(-180, 180), st.sampled_from([0.0, 90.0, -90.0, 180.0])),
    kind=st.sampled_from(KINDS),
)
def test_the_window_is_that_of_the_whole_rotation(image, size, corner, degrees, kind):
    sample = make(*image, kind)
    expected = crop(rotate(sample, degrees, FILL), *corner, size, FILL)
    assert_equal(rotated_crop(sample, degrees, *corner, size, FILL), expected)


def test_of_large_images_too():
    sample = make(345, 517)
    for degrees in (9.7, -3.14159, 1e-3):
        expected = crop(rotate(sample, degrees, FILL), 100, 211, (201, 203), FILL)
        assert_equal(rotated_crop(sample, degrees, 100, 211, (201, 203), FILL), expected)


def test_the_same_numbers_are_drawn_as_one_after_the_other():
    whole = Compose((RandomRotation(10.0, FILL), RandomCrop((32, 48), FILL)))
    window = RandomRotatedCrop(10.0, (32, 48), FILL)
    for seed, size in enumerate([(64, 96), (20, 96), (20, 20), (1, 1)]):
        sample, found = make(*size), []
        for transform in (whole, window):
            torch.manual_seed(seed)
            found.append((transform(sample), torch.rand(())))
        assert_equal(found[0][0], found[1][0])
        assert found[0][1] == found[1][1]


def test_a_sample_without_a_label():
    sample = Sample(np.zeros((4, 4, 3), np.uint8), None, "a")
    assert rotated_crop(sample, 5.0, 0, 0, (2, 2), FILL).label is None


def test_the_fill_fits_the_bands():
    with pytest.raises(DataError, match="got a fill of 3 values for 1 bands, expected one each"):
        rotated_crop(make(4, 4, bands=1), 5.0, 0, 0, (2, 2), FILL)
