"""Measuring a model over a data set: counts, the worst images, and clear errors."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from lookwider.classes import Classes
from lookwider.data import Sample
from lookwider.errors import ConfigError, DataError, LookwiderError
from lookwider.evaluation import evaluate, metrics
from lookwider.evaluation.evaluate import same_size_batches
from lookwider.evaluation.metrics import confusion_counts
from lookwider.inference import class_probabilities, named_protocol, predict_image
from lookwider.inference.memory import memory_advice
from lookwider.models import create_model

CLASSES = Classes.named(["sky", "[red]", "sea"])
SIZES = [(40, 50), (40, 50), (33, 64), (1, 1), (70, 35)]


class Samples:
    """A data set in memory."""

    def __init__(self, samples, classes=CLASSES, extra_classes=None):
        self.samples = samples
        self.classes = classes
        self.extra_classes = extra_classes or {}

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def random_samples(sizes=SIZES, **changes):
    random = np.random.default_rng(0)
    return [
        Sample(
            image=random.integers(0, 256, (*size, 3), np.uint8),
            label=random.choice(np.array([0, 1, 2, 255], np.uint8), size),
            name=f"street/{i}",
            **changes,
        )
        for i, size in enumerate(sizes)
    ]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = create_model("fcn32s", backbone="test_resnet", classes=CLASSES, zero_scores=False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
    return model.train()


@pytest.fixture(scope="module")
def evaluation(model):
    return evaluate(model, Samples(random_samples()), worst=2, show=False, protocol={"data": "x"})


def test_counts_are_those_of_full_size_logits(model, evaluation):
    assert model.training  # as it was before
    model.eval()
    expected = torch.zeros(3, 3, dtype=torch.int64)
    for sample in random_samples():
        logits = model(model.preprocess(sample.image))[0]
        expected += confusion_counts(torch.from_numpy(sample.label), logits.argmax(0), 3)
    model.train()
    assert torch.equal(evaluation.scores.counts, expected)
    assert evaluation.mean_iou == metrics.mean_iou(expected)
    assert evaluation.images_per_second > 0


def test_every_image_is_scored_and_the_worst_are_kept(evaluation):
    assert [image.name for image in evaluation.images] == [f"street/{i}" for i in range(5)]
    scored = [image for image in evaluation.images if not math.isnan(image.mean_iou)]
    expected = sorted(scored, key=lambda image: image.mean_iou)[:2]
    assert [worst.score for worst in evaluation.worst] == expected
    for worst in evaluation.worst:
        assert worst.label.shape == worst.prediction.shape == worst.image.shape[:2]


def test_batches_of_one_size_give_the_same(model, evaluation):
    batched = evaluate(model, Samples(random_samples()), batch_size=4, show=False)
    different = (batched.scores.counts - evaluation.scores.counts).abs().sum()
    assert different <= 4  # a batch may round differently where two scores are equal


def test_batches_keep_the_order_and_one_size():
    sizes = [(2, 2), (2, 2), (2, 2), (1, 2), (2, 2)]
    batches = list(same_size_batches(random_samples(sizes), 2))
    assert [len(batch) for batch in batches] == [2, 1, 1, 1]
    names = [sample.name for batch in batches for sample in batch]
    assert names == [f"street/{i}" for i in range(5)]


def test_json_table_and_pictures(evaluation, tmp_path):
    paths = evaluation.save(tmp_path / "test")
    assert [path.name for path in paths] == ["evaluation.json", "confusion.png", "worst.png"]
    content = json.loads(paths[0].read_text())
    assert content["mean_iou"] == evaluation.mean_iou
    assert content["confusion"] == evaluation.scores.counts.tolist()
    assert content["classes_present"] == 3
    assert set(content["classes"]) == {"sky", "[red]", "sea"}
    assert content["protocol"]["data"] == "x"
    assert content["protocol"]["convention"] == "fcn"
    assert len(content["images"]) == 5
    table = evaluation.table("title")
    assert [str(cell) for cell in table.columns[0].cells] == ["sky", "[red]", "sea"]
    assert table.columns[0].footer == "mean (3 in the truth)"
    assert "3 of 3 classes in the truth" in evaluation.scores.summary()


def test_heads_of_further_labels_are_measured(tmp_path):
    geometric = Classes.named(["flat", "upright"])
    model = create_model(
        "fcn32s", backbone="test_resnet", classes=CLASSES, extra_classes={"geometric": geometric}
    )
    samples = [
        Sample(s.image, s.label, s.name, {"geometric": np.minimum(s.label, 1)})
        for s in random_samples()[:2]
    ]
    data = Samples(samples, extra_classes={"geometric": geometric})
    result = evaluate(model, data, show=False)
    assert result.extra["geometric"].counts.shape == (2, 2)
    assert int(result.extra["geometric"].counts.sum()) == 2 * 40 * 50
    assert (tmp_path / "confusion_geometric.png") in result.save(tmp_path)
    assert set(result.to_json()["extra"]) == {"geometric"}

    other = Samples(samples, extra_classes={"geometric": Classes.named(["flat", "hanging"])})
    with pytest.raises(DataError, match=r"classes of 'geometric' are not the model's"):
        evaluate(model, other, show=False)


def test_other_classes_are_listed(model):
    data = Samples(random_samples(), Classes.named(["sky", "land"]))
    with pytest.raises(
        DataError, match=r"model has 3: sky, \[red\], sea; the data has 2: sky, land"
    ):
        evaluate(model, data, show=False)


def test_unusable_samples_are_named(model):
    sample = random_samples()[0]
    for label, message in (
        (None, "street/0: has no label"),
        (sample.label[:, :-1], r"street/0: got labels of shape \(40, 49\)"),
        (np.full_like(sample.label, 7), "street/0: got label class id 7"),
    ):
        data = Samples([Sample(sample.image, label, sample.name)])
        with pytest.raises(DataError, match=message):
            evaluate(model, data, show=False)
    with pytest.raises(DataError, match="holds no image"):
        evaluate(model, Samples([]), show=False)


def test_images_without_a_valid_pixel_do_not_count(model):
    samples = random_samples([(8, 8)])
    ignored = [Sample(samples[0].image, np.full((8, 8), 255, np.uint8), "a")]
    result = evaluate(model, Samples(ignored), show=False)
    assert math.isnan(result.mean_iou)
    assert math.isnan(result.images[0].mean_iou)
    assert result.worst == ()
    assert result.to_json()["mean_iou"] is None
    assert "mean IoU -" in result.scores.summary()


def test_nan_scores_name_the_image():
    model = create_model("fcn32s", backbone="test_resnet", classes=CLASSES)
    with torch.no_grad():
        model.heads["main"].score_fr.bias.fill_(float("nan"))
    with pytest.raises(DataError, match=r"street/0: the network's scores hold NaN"):
        evaluate(model, Samples(random_samples()), show=False)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_running_out_of_memory_says_what_to_do(error):
    message = r"big.png: too large for the memory; .*cut it into tiles"
    with pytest.raises(LookwiderError, match=message), memory_advice("big.png"):
        raise error


def test_other_errors_pass_unchanged():
    with pytest.raises(RuntimeError, match=r"^shapes$"), memory_advice("x"):
        raise RuntimeError("shapes")


def test_progress_lines_appear_without_a_terminal(model, monkeypatch, capsys):
    monkeypatch.setattr("lookwider.inference.progress.LINE_SECONDS", 0.0)
    evaluate(model, Samples(random_samples()[:2]))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("evaluating: 1 of 2 images, about ")
    assert "mean IoU" in lines[1]


def without_a_constant_winner(model, inference):
    """Return the model with its scores shifted so that every class is about as probable."""
    for _ in range(3):
        for head, maps in class_probabilities(model, random_samples()[4].image, inference).items():
            with torch.no_grad():
                model.heads[head].score_fr.bias -= maps.mean((1, 2)).log()
    return model


WINDOWS = named_protocol("pspnet", scales=(0.5, 1.0), base_size=60, crop_size=(40, 48))


@pytest.mark.parametrize(
    "inference", [WINDOWS, named_protocol("whole", scales=(0.75, 1.5), flip=True)]
)
def test_a_protocol_measures_what_it_predicts(inference):
    torch.manual_seed(0)
    model = create_model("fcn32s", backbone="test_resnet", classes=CLASSES, zero_scores=False)
    model = without_a_constant_winner(model.train(), inference)
    samples = random_samples()
    result = evaluate(model, Samples(samples), inference=inference, batch_size=3, show=False)
    assert model.training  # as it was before
    expected = torch.zeros(3, 3, dtype=torch.int64)
    for sample in samples:
        labels = predict_image(model, sample.image, inference).labels
        expected += confusion_counts(torch.from_numpy(sample.label), torch.from_numpy(labels), 3)
    assert torch.equal(result.scores.counts, expected)
    assert int((expected.sum(0) > 0).sum()) >= 2
    assert [image.name for image in result.images] == [sample.name for sample in samples]
    whole = evaluate(model, Samples(samples), show=False)
    assert not torch.equal(whole.scores.counts, expected)


def test_what_was_done_to_the_images_is_kept(model, evaluation):
    assert evaluation.protocol["images"] == "whole, one scale, not flipped"
    assert evaluation.protocol["inference"]["scales"] == [1.0]
    result = evaluate(model, Samples(random_samples([(8, 8)])), inference=WINDOWS, show=False)
    stored = json.loads(json.dumps(result.to_json()))["protocol"]
    assert stored["images"].startswith("windows of 40 x 48 every 27 x 32 pixels")
    assert stored["inference"] == {
        "scales": [0.5, 1.0],
        "flip": True,
        "crop_size": [40, 48],
        "base_size": 60,
        "stride_rate": 2 / 3,
        "extra": 1,
        "padding": "after",
        "flip_mean": "logits",
        "resize": "matlab",
    }


def test_heads_of_further_labels_are_measured_under_a_protocol():
    geometric = Classes.named(["flat", "upright"])
    torch.manual_seed(0)
    model = create_model(
        "fcn32s",
        backbone="test_resnet",
        classes=CLASSES,
        extra_classes={"geometric": geometric},
        zero_scores=False,
    )
    model = without_a_constant_winner(model, WINDOWS)
    samples = [
        Sample(s.image, s.label, s.name, {"geometric": np.minimum(s.label, 1)})
        for s in random_samples()[:2]
    ]
    data = Samples(samples, extra_classes={"geometric": geometric})
    result = evaluate(model, data, inference=WINDOWS, show=False)
    expected = torch.zeros(2, 2, dtype=torch.int64)
    for sample in samples:
        labels = class_probabilities(model, sample.image, WINDOWS)["geometric"].argmax(0)
        truth = torch.from_numpy(sample.extra_labels["geometric"])
        expected += confusion_counts(truth, labels.to(torch.uint8), 2)
    assert torch.equal(result.extra["geometric"].counts, expected)
    assert int((expected.sum(0) > 0).sum()) >= 2


def test_a_protocol_that_does_not_fit_is_refused_before_any_image(model):
    with pytest.raises(ConfigError, match="got crop_size=8,8, expected at least the stride"):
        evaluate(model, Samples([None]), inference=named_protocol("whole", crop_size=(8, 8)))


def test_windows_show_their_progress(model, monkeypatch, capsys):
    monkeypatch.setattr("lookwider.inference.progress.LINE_SECONDS", 0.0)
    inference = named_protocol("whole", crop_size=(40, 40))
    evaluate(model, Samples(random_samples([(40, 60), (40, 40)])), inference=inference)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [f"evaluating: 0 of 2 images, street/0: window {i} of 2" for i in (1, 2)]
    assert lines[2].startswith("evaluating: 1 of 2 images, about ")
