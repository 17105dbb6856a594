"""The three kinds of failure on images made by hand: what counts, and what just does not."""

import dataclasses

import numpy as np
import pytest
from tests.diagnosis.made import (
    BOAT,
    CAR,
    CLASSES,
    ROAD,
    SKY,
    WATER,
    lake,
    sample,
    training,
)

from lookwider.data import Sample
from lookwider.diagnosis import ClassRelations, Thresholds
from lookwider.diagnosis.failures import image_failures
from lookwider.diagnosis.inconspicuous import contrast_of
from lookwider.diagnosis.objects import LabelObject, objects_of
from lookwider.errors import ConfigError, DataError

SEEN = ClassRelations.of(training(), show=False)


def failures(label, prediction, thresholds=None, contrast=100):
    thresholds = thresholds or Thresholds()
    unseen = SEEN.unseen(thresholds.together, thresholds.rare)
    made = sample(label, contrast=contrast)
    return image_failures(made, np.asarray(prediction, np.uint8), unseen, CLASSES, thresholds)


def kinds(found):
    return {kind for kind, mask in found.masks.items() if mask.any()}


def test_a_perfect_prediction_has_no_failure():
    found = failures(lake(), lake())
    assert kinds(found) == set()
    assert not found.wrong.any()
    assert not found.other.any()


def test_a_car_on_a_lake_is_mismatched():
    found = failures(lake(), lake(CAR))
    assert kinds(found) == {"mismatched"}
    (car,) = found.objects["mismatched"]
    assert np.array_equal(found.masks["mismatched"], lake() == BOAT)
    assert car.pair == (CAR, WATER)
    assert car.words == "boat called car; 100 % of its border is water"


def test_a_car_on_a_road_is_not():
    wrong = lake(BOAT, ROAD)  # a boat on a road: what is called a car belongs there
    assert kinds(failures(wrong, lake(CAR, ROAD))) == set()


def test_most_of_the_border_must_not_belong():
    label = lake()
    label[:, 14:] = np.where(label[:, 14:] == WATER, ROAD, label[:, 14:])  # half lake, half road
    prediction = label.copy()
    prediction[label == BOAT] = CAR
    assert kinds(failures(label, prediction)) == {"mismatched"}  # 15 of 29 pixels are water
    label[:, 13:] = np.where(label[:, 13:] == WATER, ROAD, label[:, 13:])
    assert kinds(failures(label, prediction)) == set()


def test_an_object_that_is_mostly_right_is_not_mismatched():
    label = lake(CAR)  # odd, but true
    prediction = label.copy()
    prediction[16:18, 10:18] = CAR
    assert "mismatched" not in kinds(failures(label, prediction))


def test_together_in_an_image_is_less_strict_than_touching():
    label = lake()
    prediction = lake()
    prediction[11:15, 11:17] = SKY  # in one image with boats, but touching none
    assert "mismatched" in kinds(failures(label, prediction))
    assert "mismatched" not in kinds(failures(label, prediction, Thresholds(together="image")))


def test_an_object_that_two_classes_share_is_confused():
    label = lake()
    prediction = label.copy()
    prediction[10:16, 14:18] = CAR
    found = failures(label, prediction)
    (boat,) = found.objects["confusable"]
    assert boat.pair == (BOAT, CAR)
    assert boat.words == "one boat is 50 % boat and 50 % car"
    assert int(found.masks["confusable"].sum()) == 24


def test_two_wrong_classes_may_share_an_object():
    label = lake()
    prediction = label.copy()
    prediction[10:16, 10:14] = CAR
    prediction[10:16, 14:18] = ROAD
    (boat,) = failures(label, prediction).objects["confusable"]
    assert boat.pair == (ROAD, CAR)
    assert boat.pixels == 48


def test_a_small_part_or_all_of_an_object_is_not_a_split():
    label = lake()
    prediction = label.copy()
    prediction[10:16, 17] = CAR  # 12.5 %
    assert "confusable" not in kinds(failures(label, prediction))
    assert "confusable" not in kinds(failures(label, lake(CAR)))


def test_surroundings_that_spread_into_an_object_do_not_split_it():
    label = lake()
    prediction = label.copy()
    prediction[10:12, 10:18] = WATER  # from above, a third of the boat
    assert "confusable" not in kinds(failures(label, prediction))
    prediction = label.copy()
    prediction[12:14, 11:17] = WATER  # a hole within
    assert "confusable" in kinds(failures(label, prediction))


def small():
    label = np.full((40, 40), WATER, np.uint8)
    label[20:23, 20:23] = BOAT  # 0.6 %
    return label


def test_a_small_object_that_is_missed_is_inconspicuous():
    found = failures(small(), np.full((40, 40), WATER))
    assert kinds(found) == {"inconspicuous"}
    (boat,) = found.objects["inconspicuous"]
    assert boat.pair == (BOAT, WATER)
    assert boat.pixels == found.overlooked == 9
    assert boat.words.startswith("boat taken for water; 0.56 % of the image, contrast ")
    assert kinds(failures(small(), np.full((40, 40), WATER), Thresholds(small=0.005))) == set()


@pytest.mark.parametrize(("right", "missed"), [(2, True), (3, False)])
def test_missed_is_less_than_a_quarter(right, missed):
    prediction = np.full((40, 40), WATER, np.uint8)
    prediction[20, 20 : 20 + right] = BOAT
    assert ("inconspicuous" in kinds(failures(small(), prediction))) == missed


def test_an_object_alike_its_surroundings_is_inconspicuous_where_they_took_it():
    plain = np.where(lake() == BOAT, WATER, lake())
    up_to = Thresholds(alike=0.1)  # the boat is 8 % of the image
    assert "inconspicuous" in kinds(failures(lake(), plain, up_to, contrast=0))
    assert "inconspicuous" not in kinds(failures(lake(), plain, contrast=0))
    assert "inconspicuous" not in kinds(failures(lake(), plain, up_to, contrast=100))
    misnamed = failures(lake(), lake(CAR), up_to, contrast=0)
    assert kinds(misnamed) == {"mismatched"}  # found, and called something else


def test_kinds_may_overlap():
    prediction = small()
    prediction[prediction == BOAT] = CAR
    found = failures(small(), prediction)
    assert kinds(found) == {"mismatched", "inconspicuous"}
    assert found.overlooked == 0


def test_pixels_of_no_kind_near_a_border_are_told_apart():
    label, prediction = lake(), lake()
    prediction[6] = SKY
    found = failures(label, prediction)
    assert kinds(found) == set()
    assert found.other.sum() == found.at_borders == 30


def test_ignored_pixels_are_never_wrong_and_no_object():
    label = lake()
    label[10:16, 10:18] = 255
    found = failures(label, lake(CAR))
    assert not found.wrong.any()
    assert kinds(found) == set()
    assert {each.truth.region.class_id for each in found.seen} == {SKY, WATER}


def test_contrast_is_the_distance_of_the_means_in_deviations():
    random = np.random.default_rng(0)
    image = np.empty((80, 80, 2), np.float32)
    image[..., 0] = random.normal(0, 1, (80, 80))
    image[..., 1] = random.normal(5, 1, (80, 80))
    box = LabelObject(0, (20, 20, 60, 60), np.ones((40, 40), bool))
    image[20:60, 20:60, 0] += 2
    assert contrast_of(image, box) == pytest.approx(2 / np.sqrt(2), rel=0.05)
    assert contrast_of(image * 7, box) == pytest.approx(contrast_of(image, box), rel=1e-4)
    everything = next(objects_of(np.zeros((80, 80), np.uint8)))
    assert contrast_of(image, everything) == np.inf
    assert contrast_of(np.zeros((80, 80, 3), np.float32), box) == 0


def test_unusable_images_are_named():
    unseen = SEEN.unseen("touching", 0.01)
    made = sample(lake(), "lake/1")
    bare = Sample(made.image, None, "lake/1")
    with pytest.raises(DataError, match="lake/1: has no label, expected one to find failures"):
        image_failures(bare, lake(), unseen, CLASSES, Thresholds())
    with pytest.raises(DataError, match=r"lake/1: got a prediction of shape \(20, 29\) for a"):
        image_failures(made, lake()[:, 1:], unseen, CLASSES, Thresholds())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"together": "picture"}, "unknown together 'picture'.* known: image, touching"),
        ({"rare": -0.1}, "got rare=-0.1, expected a share from 0 to 1"),
        ({"small": 2}, "got small=2, expected a share from 0 to 1"),
        ({"contrast": float("nan")}, "got contrast=nan, expected a finite number from 0"),
        ({"contrast": float("inf")}, "got contrast=inf, expected a finite number from 0"),
        ({"part": 0.6}, "got part=0.6, expected more than 0 and at most 0.5"),
    ],
)
def test_thresholds_out_of_range_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(Thresholds(), **change)
