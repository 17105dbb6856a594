"""Score maps choose the kernels on a GPU, and equal those that do not."""

from __future__ import annotations

import pytest
import torch
from tests.kernels.gpu.cases import random_labels, random_scores
from tests.kernels.gpu.conftest import INTERPRETED

from lookwider.errors import LookwiderError
from lookwider.kernels import upsampled
from lookwider.layers.taps import Taps
from lookwider.scores import ScoreMap

ROWS, COLS = Taps.half_pixel(2, 9), Taps.aligned(2, 11)


@pytest.fixture
def kernels(monkeypatch):
    if INTERPRETED:  # where tensors are on the CPU
        monkeypatch.setattr(upsampled, "_form", lambda path, scores: "gpu")


@pytest.mark.usefixtures("kernels")
def test_labels_and_losses(device, monkeypatch):
    scores = random_scores(0, 2, 5, ROWS, COLS).to(device)
    labels = random_labels(0, 2, 5, ROWS, COLS).to(device)
    results = []
    for number in range(2):
        inputs = scores.clone().requires_grad_()
        score_map = ScoreMap(inputs, ROWS, COLS)
        loss = score_map.cross_entropy(labels)
        hard = score_map.cross_entropy(labels, hardest=0.3, reduction="sum")
        (loss + hard).backward()
        results.append((score_map.labels(), loss.detach(), hard.detach(), inputs.grad))
        if number == 0:
            monkeypatch.undo()
            monkeypatch.setenv("LOOKWIDER_WITHOUT", "all")
    assert torch.equal(results[0][0], results[1][0])
    for fast, plain in zip(results[0][1:], results[1][1:], strict=True):
        assert torch.allclose(fast, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("kernels")
def test_under_autocast(device):
    scores = random_scores(1, 1, 3, ROWS, COLS).to(device).bfloat16().requires_grad_()
    labels = random_labels(1, 1, 3, ROWS, COLS).to(device)
    score_map = ScoreMap(scores, ROWS, COLS)
    with torch.autocast(device.type, torch.bfloat16):
        inside = score_map.cross_entropy(labels)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, score_map.cross_entropy(labels))


@pytest.mark.usefixtures("kernels")
def test_nan(device):
    scores = random_scores(2, 1, 3, ROWS, COLS).to(device)
    scores[0, 1, 0, 0] = float("nan")
    with pytest.raises(LookwiderError, match="scores hold NaN"):
        ScoreMap(scores, ROWS, COLS).labels()
