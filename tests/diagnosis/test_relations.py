"""Which classes are seen together: by hand, against plain loops, and on disk."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from tests.diagnosis.made import NAMES, Samples, sample

from lookwider.data import Sample
from lookwider.diagnosis import ClassRelations
from lookwider.diagnosis.relations import touching_classes
from lookwider.errors import DataError

LAKE = np.array([[0, 0, 0], [1, 2, 1], [1, 1, 1]], np.uint8)  # sky, water, boat
ROAD = np.array([[0, 0, 0], [3, 4, 3], [3, 3, 3]], np.uint8)  # sky, road, car


def test_images_that_hold_both_and_where_they_touch():
    relations = ClassRelations.of(Samples([sample(LAKE), sample(LAKE), sample(ROAD)]), show=False)
    assert relations.images == 3
    assert relations.together.diagonal().tolist() == [3, 2, 2, 1, 1]
    assert relations.together[0].tolist() == [3, 2, 2, 1, 1]
    assert relations.together[2].tolist() == [2, 2, 2, 0, 0]
    assert relations.touching[1].tolist() == [2, 2, 2, 0, 0]
    apart = np.array([[0, 1, 2]], np.uint8)
    relations = ClassRelations.of_label(apart, NAMES)
    assert relations.together[0, 2] == 1
    assert relations.touching[0, 2] == 0


@settings(max_examples=60, deadline=None)
@given(
    stn.arrays(
        np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 3)
    )
)
def test_touching_is_that_of_plain_loops(labels):
    expected = np.zeros((4, 4), bool)
    for y, x in np.ndindex(labels.shape):
        for other in labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].ravel():
            if other != labels[y, x]:
                expected[labels[y, x], other] = True
    assert np.array_equal(touching_classes(labels, 4), expected)


def test_an_ignored_band_between_two_objects_does_not_part_them():
    band = np.array([[0] + [255] * 5 + [1]], np.uint8)
    assert touching_classes(band, 2)[0, 1]
    wide = np.array([[0] + [255] * 20 + [1]], np.uint8)
    assert not touching_classes(wide, 2).any()
    assert not touching_classes(np.full((3, 3), 255, np.uint8), 2).any()


def test_what_does_not_belong_together():
    road = [sample(ROAD)] * 199
    both = np.array([[0, 4, 1]], np.uint8)  # a car that touches water, once in 200 images
    relations = ClassRelations.of(Samples([*road, sample(both), sample(LAKE)]), show=False)
    car, boat = relations.unseen("touching", 0.01)[4], relations.unseen("touching", 0.001)[4]
    assert car.tolist() == [False, True, True, False, False]
    assert boat.tolist() == [False, False, True, False, False]
    assert not relations.unseen("image", 0.0)[4, 1]
    never_seen = ClassRelations.of(Samples([sample(LAKE)]), show=False)
    assert not never_seen.unseen("touching", 0.01)[4].any()


def test_relations_of_parts_add_up_to_those_of_the_whole():
    parts = [ClassRelations.of(Samples([sample(each)]), show=False) for each in (LAKE, ROAD)]
    whole = ClassRelations.of(Samples([sample(LAKE), sample(ROAD)]), show=False)
    merged = parts[0].merge(parts[1])
    assert merged.to_json() == whole.to_json()
    with pytest.raises(DataError, match=r"got relations of 5 classes: sky.* expected 1: a; count"):
        merged.merge(ClassRelations.empty(("a",)))


def test_a_file_gives_back_the_same(tmp_path):
    relations = ClassRelations.of(Samples([sample(LAKE)]), counted_on="a lake", show=False)
    relations.save(tmp_path / "r.json")
    read = ClassRelations.load(tmp_path / "r.json")
    assert read.to_json() == relations.to_json()
    assert read.counted_on == "a lake"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "r.json: cannot be read"),
        ("[]", "not the relations of classes, expected those saved: a list; delete it"),
        ('{"classes": ["a"]}', "not the relations of classes"),
        (
            json.dumps({"classes": ["a"], "images": 1, "together": [[1, 2]], "touching": [[1]]}),
            r"got a table of shape \(1, 2\) for 1 classes, expected a row and a column each",
        ),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(DataError, match=message):
        ClassRelations.load(tmp_path / "r.json")


def test_images_must_be_there_and_labelled():
    with pytest.raises(DataError, match="got no image to count which classes"):
        ClassRelations.of(Samples([]), show=False)
    bare = Sample(np.zeros((2, 2, 3), np.uint8), None, "a")
    with pytest.raises(DataError, match="'a' has no label, expected one to count relations"):
        ClassRelations.of(Samples([bare]), show=False)
