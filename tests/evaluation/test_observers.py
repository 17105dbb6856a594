"""Observers of an evaluation, the best images, and predictions that are kept."""

import numpy as np
import pytest
import torch

from lookwider.classes import Classes
from lookwider.data import Sample
from lookwider.errors import DataError
from lookwider.evaluation import evaluate
from lookwider.evaluation.recorded import RecordedPredictions
from lookwider.inference import named_protocol
from lookwider.models import create_model

CLASSES = Classes.named(["sky", "sea", "land"])


class Samples:
    """Images of two sizes in memory."""

    def __init__(self, count=5):
        self.classes, self.extra_classes = CLASSES, {}
        random = np.random.default_rng(0)
        self.samples = [
            Sample(
                random.integers(0, 256, (20 + i // 2, 30, 3), np.uint8),
                random.integers(0, 3, (20 + i // 2, 30)).astype(np.uint8),
                f"image {i}",
            )
            for i in range(count)
        ]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model("fcn32s", backbone="test_resnet", classes=CLASSES, zero_scores=False)


WINDOWS = named_protocol("pspnet", scales=(1.0,), base_size=40, crop_size=(32, 32))


@pytest.mark.parametrize("inference", [named_protocol("whole"), WINDOWS])
def test_observers_see_every_image_in_order(model, inference):
    seen, recorded = [], RecordedPredictions()
    result = evaluate(
        model,
        Samples(),
        inference=inference,
        batch_size=2,
        observers=(lambda sample, labels: seen.append((sample.name, labels)), recorded),
        show=False,
    )
    assert [name for name, _ in seen] == [image.name for image in result.images]
    counts = torch.zeros(3, 3, dtype=torch.int64)
    for sample, (name, labels) in zip(Samples().samples, seen, strict=True):
        assert labels.dtype == np.uint8
        assert labels.shape == sample.label.shape
        assert np.array_equal(recorded[name], labels)
        for true, predicted in zip(sample.label.ravel(), labels.ravel(), strict=True):
            counts[true, predicted] += 1
    assert torch.equal(result.scores.counts, counts)
    assert list(recorded.names) == [name for name, _ in seen]
    assert len(recorded) == 5
    assert "image 3" in recorded


def test_the_best_images_are_kept_too(model):
    result = evaluate(model, Samples(), worst=2, best=2, show=False)
    ranked = sorted(result.images, key=lambda image: image.mean_iou)
    assert [image.score for image in result.worst] == ranked[:2]
    assert [image.score for image in result.best] == ranked[:-3:-1]
    assert evaluate(model, Samples(1), show=False).best == ()


def test_names_are_told_apart():
    recorded = RecordedPredictions()
    sample = Samples().samples[0]
    recorded(sample, sample.label)
    with pytest.raises(DataError, match="got two images called 'image 0', expected names that"):
        recorded(sample, sample.label)
    with pytest.raises(DataError, match="unknown image with a prediction 'image 9'"):
        recorded["image 9"]
