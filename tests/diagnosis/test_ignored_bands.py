"""A band of ignored pixels around each object, as PASCAL VOC draws it, hides no neighbour."""

import numpy as np
import pytest
from scipy import ndimage
from tests.diagnosis.made import BOAT, CAR, CLASSES, WATER, lake, sample, training

from lookwider.diagnosis import ClassRelations, Thresholds
from lookwider.diagnosis.failures import image_failures
from lookwider.diagnosis.objects import bridged, near_borders

THRESHOLDS = Thresholds()
UNSEEN = ClassRelations.of(training(), show=False).unseen("touching", THRESHOLDS.rare)


def banded(width=2):
    """Return the boat on a lake with a band around it, and where the band is."""
    label = lake()
    boat = label == BOAT
    band = ndimage.binary_dilation(boat, np.ones((3, 3)), iterations=width) & ~boat
    label[band] = 255
    return label, band


def failures(label, prediction):
    return image_failures(sample(label), prediction, UNSEEN, CLASSES, THRESHOLDS)


@pytest.mark.parametrize("iterations", [0, 1, 2])
def test_a_car_on_a_lake_is_mismatched_whatever_it_takes_of_the_band(iterations):
    label, band = banded()
    car = label == BOAT
    if iterations:
        car = ndimage.binary_dilation(car, np.ones((3, 3)), iterations=iterations)
    found = failures(label, np.where(car, CAR, lake()).astype(np.uint8))
    (failed,) = found.objects["mismatched"]
    assert failed.pair == (CAR, WATER)
    assert np.array_equal(found.masks["mismatched"], label == BOAT)
    assert not (found.wrong & band).any()


def test_what_an_object_touches_is_behind_the_band():
    label, _ = banded()
    prediction = lake(WATER)
    found = failures(label, prediction)
    (boat,) = [each.truth for each in found.seen if each.truth.region.class_id == BOAT]
    assert np.flatnonzero(boat.touching).tolist() == [WATER]
    assert failures(lake(), prediction).seen[-1].overlooked == boat.region.area


def test_wrong_pixels_beside_a_band_are_near_a_border():
    label, band = banded()
    near = near_borders(bridged(label), 2)
    assert near[9, 12]
    assert near[10, 12]
    prediction = lake()
    prediction[13, 10] = WATER  # a pixel of the boat beside the band
    prediction[band] = CAR
    found = image_failures(sample(label), prediction, UNSEEN, CLASSES, THRESHOLDS)
    assert np.argwhere(found.other).tolist() == [[13, 10]]
    assert not (found.wrong & band).any()


def test_the_band_of_the_middle_goes_to_both_sides():
    assert bridged(np.array([[0, 255, 255, 1]], np.uint8)).tolist() == [[0, 0, 1, 1]]
    assert (bridged(np.full((2, 2), 255, np.uint8)) == 255).all()
