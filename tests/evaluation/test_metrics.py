"""The four metrics against figures of the releases and a slow, obvious reference."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.evaluation.count_share import seven_images

from lookwider.errors import ConfigError, DataError
from lookwider.evaluation import metrics
from lookwider.evaluation.metrics import ConfusionCounts, confusion_counts

NAMES = {
    "pixel_acc": metrics.pixel_accuracy,
    "mean_acc": metrics.mean_accuracy,
    "fw_iu": metrics.freq_weighted_iou,
}


def slow_counts(labels, predictions, num_classes, ignore):
    counts = np.zeros((num_classes, num_classes), np.int64)
    for truth, guess in zip(labels.ravel(), predictions.ravel(), strict=True):
        if truth != ignore:
            counts[truth, guess] += 1
    return counts


def slow_ious(labels, predictions, num_classes):
    """Intersection over union by sets of pixels; None where a class is in neither."""
    valid = labels != 255
    result = []
    for c in range(num_classes):
        truth, guess = (labels == c) & valid, (predictions == c) & valid
        union = (truth | guess).sum()
        result.append((truth & guess).sum() / union if union else None)
    return result


@pytest.mark.parametrize("case", ["unit test, no ignore", "unit test, ignore 0"])
def test_metrics_equal_the_releases(facts, case):
    vector = facts("metrics_vectors")[case]
    labels, predictions = torch.tensor(vector["gt"]), torch.tensor(vector["pred"])
    for ignored in vector["ignore"]:
        labels = labels.masked_fill(labels == ignored, 255)
    counts = confusion_counts(labels, predictions, vector["K"])
    assert counts.tolist() == vector["hist (rows gt)"]
    released = {
        "fcn": vector["shelhamer score.py"]["mean_iu"],
        "parsenet": vector["weiliu89 Solver::TestSegmentation"]["mean_iu"],
        "pspnet": next(value for key, value in vector.items() if key.startswith("hszhao")),
    }
    for convention, value in released.items():
        assert metrics.mean_iou(counts, convention) == pytest.approx(value, abs=1e-8)
    for name, metric in NAMES.items():
        assert metric(counts) == pytest.approx(vector["shelhamer score.py"][name], abs=1e-8)


shapes = st.tuples(st.integers(1, 6), st.integers(1, 6))


@settings(deadline=None, max_examples=60)
@given(st.data(), shapes, st.integers(1, 5))
def test_counts_and_means_equal_the_slow_reference(data, shape, num_classes):
    ids = st.integers(0, num_classes - 1)
    labels = data.draw(hnp.arrays(np.uint8, shape, elements=st.one_of(ids, st.just(255))))
    predictions = data.draw(hnp.arrays(np.uint8, shape, elements=ids))
    counts = confusion_counts(torch.from_numpy(labels), torch.from_numpy(predictions), num_classes)
    np.testing.assert_array_equal(counts, slow_counts(labels, predictions, num_classes, 255))

    ious = [iou for iou in slow_ious(labels, predictions, num_classes) if iou is not None]
    if ious:
        assert metrics.mean_iou(counts) == pytest.approx(np.mean(ious))
        assert metrics.mean_iou(counts, "pspnet") == pytest.approx(sum(ious) / num_classes)
        assert metrics.mean_iou(counts, "parsenet") == pytest.approx(
            sum(ious) / metrics.classes_present(counts)
        )
        right = (labels == predictions)[labels != 255].mean()
        assert metrics.pixel_accuracy(counts) == pytest.approx(right)
        frequency = [(labels == c).sum() for c in range(num_classes)]
        weighted = [iou or 0 for iou in slow_ious(labels, predictions, num_classes)] @ np.array(
            frequency
        )
        assert metrics.freq_weighted_iou(counts) == pytest.approx(weighted / sum(frequency))
    else:
        assert all(math.isnan(metric(counts)) for metric in (*NAMES.values(), metrics.mean_iou))
    assert metrics.classes_present(counts) == len(set(labels.ravel()) - {255})


def test_counting_in_chunks_changes_nothing(monkeypatch):
    labels = torch.randint(0, 7, (3, 40, 41), generator=torch.Generator().manual_seed(0))
    predictions = labels.flip(1)
    whole = confusion_counts(labels, predictions, 7)
    monkeypatch.setattr(metrics, "CHUNK", 100)
    assert torch.equal(confusion_counts(labels, predictions, 7), whole)


def test_counts_do_not_round_beyond_float32():
    counts = torch.tensor([[2**40 + 1, 0], [1, 0]])
    assert metrics.pixel_accuracy(counts) == (2**40 + 1) / (2**40 + 2)


def test_mistakes_are_named():
    zeros = torch.zeros(2, 2, dtype=torch.uint8)
    with pytest.raises(DataError, match=r"label class id 34, expected 0..20 or 255 \(ignore\)"):
        confusion_counts(zeros + 34, zeros, 21)
    with pytest.raises(DataError, match=r"predicted class id -1, expected 0..20;"):
        confusion_counts(zeros, zeros.long() - 1, 21)
    with pytest.raises(DataError, match=r"shape \(2, 2\) and predictions of shape \(2, 1\)"):
        confusion_counts(zeros, zeros[:, :1], 21)
    with pytest.raises(ConfigError, match="unknown convention 'fnc'; did you mean 'fcn'"):
        metrics.mean_iou(torch.eye(2).long(), "fnc")


def test_predictions_of_ignored_pixels_do_not_matter():
    labels = torch.tensor([0, 255])
    assert confusion_counts(labels, torch.tensor([0, 200]), 2).tolist() == [[1, 0], [0, 0]]
    assert confusion_counts(labels[1:], labels[1:], 2).sum() == 0


def test_the_metric_streams_and_resets():
    metric = ConfusionCounts(num_classes=3)
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        labels, predictions = torch.randint(0, 3, (2, 50), generator=generator)
        metric.update(labels, predictions)
    assert metric.compute().dtype == torch.int64
    assert metric.compute().sum() == 100
    metric.reset()
    metric.update(torch.tensor([2]), torch.tensor([2]))
    assert metric.compute().tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_two_processes_with_uneven_shares_count_exactly_as_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    script = Path(__file__).with_name("count_share.py")
    processes = [
        subprocess.Popen([sys.executable, str(script), str(rank), str(tmp_path)])
        for rank in range(2)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    expected = confusion_counts(*seven_images(), 4).tolist()
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == expected
