"""A diagnosis over several images: numbers, examples, tables, files."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from tests.diagnosis.made import BOAT, CAR, CLASSES, Samples, lake, sample, training

from lookwider.classes import Classes
from lookwider.data import Sample
from lookwider.diagnosis import ClassRelations, Diagnoser, Thresholds, diagnose
from lookwider.diagnosis.curves import RecallCurve
from lookwider.diagnosis.pictures import recall_picture
from lookwider.errors import ConfigError, DataError
from lookwider.models import create_model

SEEN = ClassRelations.of(training(), show=False)


def half(label):
    """Return the label with the right half of its boat called a car."""
    prediction = label.copy()
    prediction[10:16, 14:18] = CAR
    return prediction


CASES = [
    (sample(lake(), "whole"), lake(CAR)),
    (sample(lake(), "half"), half(lake())),
    (sample(lake(), "right"), lake()),
    (sample(lake(), "whole again"), lake(CAR)),
]


def found(cases=CASES, **options):
    diagnoser = Diagnoser(CLASSES, SEEN, name="fcn", **options)
    for each, prediction in cases:
        diagnoser(each, prediction)
    return diagnoser.result()


def test_pixels_add_up_by_kind_and_class():
    result = found()
    assert (result.images, result.pixels, result.wrong) == (4, 4 * 600, 48 + 24 + 48)
    # the half that is a car is in no place for cars, and splits the boat
    assert result.mismatched.pixels == 48 + 24 + 48
    assert result.confusable.pixels == 24
    assert result.inconspicuous.pixels == 0
    assert result.other == result.at_borders == 0
    assert result.mismatched.share == pytest.approx(120 / 2400)
    assert result.mismatched.share_of_errors == 1
    assert result.confusable.share_of_errors == pytest.approx(24 / 120)
    boat = result.mismatched.per_class[BOAT]
    assert (boat.name, boat.pixels, boat.labelled) == ("boat", 120, 4 * 48)
    assert boat.share == pytest.approx(120 / 192)
    assert np.isnan(result.mismatched.per_class[CAR].share)
    (pair,) = result.swapped
    assert (pair.first, pair.second, pair.objects, pair.pixels) == ("boat", "car", 1, 24)
    (pair,) = result.out_of_place
    assert (pair.first, pair.second, pair.objects, pair.pixels) == ("car", "water", 3, 120)


def test_recall_counts_every_object_of_the_truth():
    curve = found().by_size
    assert curve.objects.sum(0).tolist() == [0, 0, 0, 0, 0, 4, 8]
    assert curve.objects[BOAT].sum() == 4
    assert curve.missed[BOAT].sum() == 2
    assert curve.found(BOAT)[5] == 0.5
    assert curve.recall(BOAT)[5] == pytest.approx((24 + 48) / 192)
    assert np.isnan(curve.found(BOAT)[0])
    assert curve.found()[6] == 1


@pytest.mark.parametrize(("value", "place"), [(0, 0), (0.3, 0), (0.5, 1), (1.0, 1), (7.0, 1)])
def test_an_edge_belongs_to_the_bin_above(value, place):
    curve = RecallCurve.empty("x", (0, 0.5, 1), CLASSES)
    curve.add(0, value, 3, 2, missed=False)
    assert curve.objects[0].tolist() == [int(place == i) for i in range(2)]


def test_the_worst_examples_are_kept_and_of_equal_ones_the_first():
    result = found(examples=2)
    assert [example.name for example in result.mismatched.examples] == ["whole", "whole again"]
    example = result.mismatched.examples[0]
    assert example.box == (10, 10, 16, 18)
    assert example.severity == example.mask.sum() == 48
    assert found(examples=0).mismatched.examples == ()


def test_definitions_say_their_numbers_and_source():
    kinds = found(thresholds=Thresholds(rare=0.03, part=0.3, small=0.02, contrast=2)).kinds
    assert [kind.title for kind in kinds] == [
        "mismatched relationship",
        "confusable categories",
        "inconspicuous classes",
    ]
    assert all("section 3.1" in kind.source for kind in kinds)
    for kind, words in zip(kinds, ("less than 3 %", "least 30 %", "less than 2 %"), strict=True):
        assert words in kind.definition
    assert "differ by less than 2 standard deviations" in kinds[2].definition
    image = found(thresholds=Thresholds(together="image")).mismatched.definition
    assert "are in the image in less than 1 %" in image


def test_files_tables_and_json(tmp_path):
    result = found()
    paths = result.save(tmp_path)
    names = ["diagnosis.json", "mismatched.png", "confusable.png", "recall.png"]
    assert [path.name for path in paths] == names
    content = json.loads(paths[0].read_text())
    assert content["kinds"]["mismatched"]["pixels"] == 120
    assert content["kinds"]["mismatched"]["examples"][0]["box"] == [10, 10, 16, 18]
    assert content["kinds"]["mismatched"]["classes"]["car"]["share"] is None
    assert content["by_contrast"]["edges"][-1] is None
    assert content["settings"]["thresholds"]["small"] == 0.01
    assert content["settings"]["training_images"] == 2
    for path in paths[1:]:
        with Image.open(path) as picture:
            assert picture.width > 1000
    console = Console(width=120, file=io.StringIO())
    console.print(result.table("on lakes"))
    text = console.file.getvalue()
    assert "on lakes" in text
    assert "mismatched relationship" in text
    assert "100.0" in text


def test_nothing_wrong_and_nothing_labelled_are_no_numbers(tmp_path):
    perfect = found([(sample(lake(), "a"), lake())])
    assert np.isnan(perfect.mismatched.share_of_errors)
    assert perfect.to_json()["kinds"]["mismatched"]["share_of_errors"] is None
    ignored = np.full((20, 30), 255, np.uint8)
    nothing = found([(sample(ignored, "a"), lake())])
    assert np.isnan(nothing.mismatched.share)
    assert [path.name for path in nothing.save(tmp_path)] == ["diagnosis.json"]
    Console(file=io.StringIO()).print(nothing.table())


def test_images_of_any_depth_are_drawn():
    label = lake()
    deep = np.random.default_rng(0).integers(0, 60_000, (*label.shape, 5)).astype(np.uint16)
    result = found([(Sample(deep, label, "deep"), lake(CAR))])
    assert result.mismatched.pixels == 48
    assert recall_picture(result.by_size, result.by_contrast, CLASSES).startswith(b"\x89PNG")


def test_a_model_is_diagnosed_whatever_the_batch():
    torch.manual_seed(0)
    model = create_model("fcn32s", backbone="test_resnet", classes=CLASSES, zero_scores=False)
    data = Samples([each for each, _ in CASES])
    seen = []
    one = diagnose(
        model, data, SEEN, observers=(lambda s, p: seen.append((s.name, p.shape)),), show=False
    )
    assert one.name == "fcn32s"
    assert seen == [(each.name, (20, 30)) for each, _ in CASES]
    many = diagnose(model, data, SEEN, batch_size=3, name="many", show=False)
    assert many.name == "many"
    differences = abs(one.wrong - many.wrong), abs(one.other - many.other)
    assert max(differences) <= 4  # a batch may round differently where two scores are equal


def test_relations_of_other_classes_and_negative_examples_are_refused():
    with pytest.raises(DataError, match="got relations of 5 classes: sky, water, boat, road, car"):
        Diagnoser(Classes.named(["a"]), SEEN)
    with pytest.raises(ConfigError, match="got examples=-1, expected a number from 0 up"):
        Diagnoser(CLASSES, SEEN, examples=-1)
