"""Curves, confusion and pictures as numbers."""

import io

import numpy as np
import pytest
from PIL import Image

from lookwider.classes import Classes
from lookwider.report.confusion import CELL, MOST_CLASSES, drawn_classes, heat_map, mistakes
from lookwider.report.curves import Values, chart, values_of
from lookwider.report.page import learning_curves
from lookwider.report.parts import Shown, marked
from lookwider.report.pictures import fewer_colours, pictures, size_of

CLASSES = Classes.named(["a", "b"])


def test_curves_are_drawn_to_one_scale() -> None:
    one, two = Values(0, "one", [0, 50, 100], [4.0, 2.0, 0.0]), Values(1, "two", [50], [3.0])
    drawn = chart("loss", [one, two])
    (x0, y0), (x1, y1), (x2, y2) = drawn.lines[0].points
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y1 - y0 == pytest.approx(y2 - y1)
    assert y0 < y1 < y2
    assert drawn.lines[1].points == ((x1, pytest.approx((y0 + y1) / 2)),)
    assert next(tick for tick in drawn.ys if tick.text == "0").at == pytest.approx(y2)
    assert "loss of two: 3 at step 50" in drawn.description


def test_curves_of_zeros_and_of_nothing_finite() -> None:
    drawn = chart("mean IoU", [Values(0, "a", [1], [0.0])], " %")
    assert drawn.lines[0].points[0][1] == drawn.ys[0].at
    rows = [{"step": "1", "loss": "nan"}, {"step": "2", "loss": ""}]
    assert values_of(0, "a", rows, "loss") is None


def test_many_values_have_no_dots() -> None:
    few, many = (chart("x", [Values(0, "a", range(1, n), [1.0] * (n - 1))]) for n in (5, 90))
    assert len(few.lines[0].dots) == 4
    assert many.lines[0].dots == ()


def test_sums_and_means_of_losses_are_drawn_apart(make_run) -> None:
    one, other = make_run("one"), make_run("two")
    assert {drawn.title for drawn in learning_curves([one, other])} == {
        "training loss",
        "mean IoU of the validation, %",
    }
    config = one.config.model_copy(update={"reduction": "batch"})
    drawn = learning_curves([make_run("one", config=config), other])
    assert [len(own.lines) for own in drawn] == [1, 1, 2]
    assert learning_curves([make_run(config=None, rows=())]) == []


def test_confusion_is_in_shares_of_the_truth() -> None:
    counts = np.array([[90, 10], [0, 0]])
    heat = heat_map(counts, CLASSES)
    assert [(c.row, c.column, c.share, c.strong) for c in heat.cells] == [
        (0, 0, 0.9, True),
        (0, 1, 0.1, False),
    ]
    assert heat.side == heat.margin + 2 * CELL
    (mistake,) = mistakes((counts, np.array([[1, 3], [0, 0]])), CLASSES)
    assert (mistake.truth, mistake.prediction, mistake.shares) == ("a", "b", (0.1, 0.75))


def test_of_many_classes_those_with_the_most_wrong_pixels_are_drawn() -> None:
    counts = np.eye(200, dtype=np.int64)
    counts[3, 150] = 7
    drawn = drawn_classes(counts)
    assert len(drawn) == MOST_CLASSES
    assert {3, 150} <= set(drawn.tolist())
    heat = heat_map(counts, Classes.numbered(200), drawn)
    assert not heat.numbers
    assert (heat.of, len(heat.names)) == (200, MOST_CLASSES)
    assert any((c.truth, c.prediction) == ("class 3", "class 150") for c in heat.cells)


def test_pictures_of_an_image() -> None:
    label = np.array([[0, 0, 255, 1]], np.uint8)
    right, wrong = label.copy(), np.ones((1, 4), np.uint8)
    shown = Shown("x", np.zeros((1, 4, 3), np.uint8), label, (right, wrong))
    (image, truth), (_, none), (prediction, errors) = pictures(shown, ["one", "two"], CLASSES)
    assert [p.key for p in (image, truth, prediction)] == ["image", "truth", "two"]
    assert (none.title, errors.title) == ("0.0 % wrong", "66.7 % wrong")
    assert errors.key == "errors of two"
    assert prediction.alt == "two: b 100 %"
    assert (
        pictures(Shown("x", shown.image, label, (right,)), ["one"], CLASSES)[1][1].key == "errors"
    )


def test_drawings_get_fewer_colours_where_that_is_smaller() -> None:
    random = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(200), np.arange(300))[:, :, None] + random.integers(
        0, 9, (200, 300, 3)
    )
    buffer = io.BytesIO()
    Image.fromarray((smooth % 256).astype(np.uint8)).save(buffer, "PNG")
    few = fewer_colours(buffer.getvalue())
    assert len(few) < 0.6 * len(buffer.getvalue())
    assert size_of(few) == (300, 200)
    assert len(fewer_colours(few)) <= len(few)


def test_what_reads_like_the_best_is_as_good() -> None:
    texts = ["98.1", "98.1", "60.0", "–"]
    cells = marked([0.98101, 0.98102, 0.6, float("nan")], texts)
    assert [cell.best for cell in cells] == [True, True, False, False]
    assert [c.best for c in marked([3.0, 2.0], ["3", "2"], highest=False)] == [False, True]
    assert not any(cell.best for cell in marked([1.0], ["1"]))
