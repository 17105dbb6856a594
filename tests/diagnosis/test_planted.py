"""Causes of failure planted in the built-in scenes are found, and borders are not taken for any."""

import pytest
from benchmarks.planted_failures import NONE, plant, score, table

from lookwider.data import SceneDataset
from lookwider.diagnosis import ClassRelations, Thresholds
from lookwider.diagnosis.failures import KINDS

SIZE = (96, 128)


@pytest.fixture(scope="module")
def scores():
    training = SceneDataset.split("train", count=60, size=SIZE)
    relations = ClassRelations.of(training, show=False)
    data = SceneDataset.split("test", count=12, size=SIZE)
    return score((data[i] for i in range(12)), relations, Thresholds())


def test_every_kind_was_planted_and_is_recovered(scores):
    for kind in KINDS:
        assert scores[kind].objects >= 8, kind
        assert scores[kind].recovered >= 0.9 * scores[kind].objects, kind
        assert scores[kind].hit >= 0.9 * scores[kind].planted, kind


def test_what_is_found_was_planted(scores):
    for kind in ("mismatched", "confusable"):
        assert scores[kind].hit >= 0.98 * scores[kind].found, kind
    # a missed boat is small too: the kinds overlap
    assert scores["inconspicuous"].hit >= 0.7 * scores["inconspicuous"].found
    assert all(scores[kind].strange <= 0.01 * scores[kind].found for kind in KINDS)


def test_moved_borders_are_none_of_the_kinds(scores):
    assert scores[NONE].hit >= 0.98 * scores[NONE].planted > 0


def test_the_table_and_what_is_planted(scores):
    assert "| mismatched | " in table(scores)
    label = SceneDataset.split("test", size=SIZE)[0].label
    planted = plant(label)
    for kind, pixels in planted.objects:
        assert (planted.prediction != label)[pixels].any(), kind
