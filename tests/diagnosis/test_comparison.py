"""Two networks on the same images: what was mended and broken, counted plainly."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.diagnosis.made import BOAT, CAR, SKY, WATER, Samples, lake, sample, training

from lookwider.diagnosis import ClassRelations, compare
from lookwider.diagnosis.change_picture import (
    BOTH_COLOUR,
    MENDED_COLOUR,
    ChangeRow,
    changes,
)
from lookwider.errors import DataError
from lookwider.evaluation.pictures import ERROR_COLOUR
from lookwider.evaluation.recorded import RecordedPredictions

SEEN = ClassRelations.of(training(), show=False)
DATA = Samples([sample(lake(), name) for name in ("a", "b", "c")])


def small_error(label):
    label = label.copy()
    label[7, :5] = SKY
    return label


FIRST = {"a": lake(CAR), "b": lake(), "c": small_error(lake())}
SECOND = {"a": lake(), "b": lake(CAR), "c": lake(CAR)}


def recorded(predictions):
    kept = RecordedPredictions()
    for each in DATA.samples:
        if each.name in predictions:
            kept(each, predictions[each.name])
    return kept


@pytest.fixture(scope="module")
def comparison():
    return compare(
        recorded(FIRST), recorded(SECOND), DATA, SEEN, names=("FCN", "PSPNet"), show=False
    )


def test_mended_and_broken_are_those_of_a_plain_count(comparison):
    mended = broken = both = 0
    for each in DATA.samples:
        first, second = FIRST[each.name] != each.label, SECOND[each.name] != each.label
        mended += (first & ~second).sum()
        broken += (~first & second).sum()
        both += (first & second).sum()
    assert (comparison.mended.pixels, comparison.broken.pixels) == (mended, broken) == (53, 96)
    assert comparison.both_wrong == both == 0
    assert comparison.first.wrong - mended + broken == comparison.second.wrong


def test_kinds_are_those_of_the_network_that_is_wrong(comparison):
    kinds = {"mismatched": 48, "confusable": 0, "inconspicuous": 0, "other": 5}
    assert comparison.mended.by_kind == kinds
    assert comparison.broken.by_kind == {**kinds, "mismatched": 96, "other": 0}
    assert comparison.first.mismatched.pixels == 48
    assert comparison.second.mismatched.pixels == 96
    assert [each.pixels for each in comparison.mended.per_class] == [0, 5, 48, 0, 0]
    assert comparison.mended.per_class[BOAT].labelled == 3 * 48


def test_images_with_the_most_come_first(comparison):
    assert [image.name for image in comparison.mended.images] == ["a", "c"]
    assert [image.name for image in comparison.broken.images] == ["b", "c"]
    few = compare(recorded(FIRST), recorded(SECOND), DATA, SEEN, examples=1, show=False)
    assert [image.name for image in few.broken.images] == ["b"]
    assert (few.first.name, few.second.name) == ("first", "second")


def test_files_table_and_json(comparison, tmp_path):
    paths = comparison.save(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in paths]
    assert names[:3] == ["comparison.json", "mended.png", "broken.png"]
    assert "first/diagnosis.json" in names
    assert "second/mismatched.png" in names
    content = json.loads(paths[0].read_text())
    assert content["mended"]["by_kind"]["mismatched"] == 48
    assert content["broken"]["images"] == {"b": 48, "c": 48}
    assert content["second"]["name"] == "PSPNet"
    with Image.open(paths[1]) as picture:
        assert picture.width > 1000
    console = Console(width=120, file=io.StringIO())
    console.print(comparison.table("on lakes"))
    text = console.file.getvalue()
    assert "48 (100 %)" in text
    assert "PSPNet" in text


def test_the_picture_tells_mended_broken_and_both():
    label = np.array([[WATER, WATER, WATER, WATER, 255]], np.uint8)
    first = np.array([[BOAT, WATER, BOAT, WATER, BOAT]], np.uint8)
    second = np.array([[WATER, BOAT, CAR, WATER, BOAT]], np.uint8)
    row = ChangeRow("", np.zeros((1, 5, 3), np.uint8), label, first, second)
    expected = [MENDED_COLOUR, ERROR_COLOUR, BOTH_COLOUR, (150,) * 3, (255,) * 3]
    assert changes(row)[0].tolist() == [list(colour) for colour in expected]


def test_a_missing_prediction_is_named():
    with pytest.raises(DataError, match="unknown image with a prediction 'c'; known: a, b"):
        compare(recorded(FIRST), recorded({"a": lake(), "b": lake()}), DATA, SEEN, show=False)
