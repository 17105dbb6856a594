"""What only a real device shows: graphs, threads, repeated bits, wide addresses, memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tests.kernels.gpu.cases import random_labels, random_scores

from lookwider.kernels.gpu.labels import upsampled_labels
from lookwider.kernels.gpu.loss import upsampled_cross_entropy
from lookwider.layers.taps import Taps, resample

ROWS, COLS = Taps.half_pixel(20, 160), Taps.aligned(30, 233)


@pytest.fixture
def inputs(device):
    scores = random_scores(0, 2, 21, ROWS, COLS).to(device).requires_grad_()
    return scores, random_labels(0, 2, 21, ROWS, COLS).to(device)


def gradient(scores, labels):
    return torch.autograd.grad(upsampled_cross_entropy(scores, ROWS, COLS, labels), scores)[0]


def test_replayed_from_a_graph(inputs):
    scores, labels = inputs
    gradient(scores, labels)
    upsampled_labels(scores.detach(), ROWS, COLS, torch.uint8)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        predictions = upsampled_labels(scores.detach(), ROWS, COLS, torch.uint8)
        gradients = gradient(scores, labels)
    with torch.no_grad():
        scores.copy_(scores.flip(1))
    graph.replay()
    assert torch.equal(predictions, upsampled_labels(scores.detach(), ROWS, COLS, torch.uint8))
    assert torch.allclose(gradients, gradient(scores, labels), atol=1e-5)


def test_the_same_bits_each_time(inputs):
    first = gradient(*inputs)
    for _ in range(5):
        assert torch.equal(gradient(*inputs), first)


def test_many_threads(inputs):
    scores = inputs[0].detach()
    expected = resample(scores, ROWS, COLS).argmax(1)
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda _: upsampled_labels(scores, ROWS, COLS, torch.int64), range(40))
        assert all(torch.equal(labels, expected) for labels in results)


def test_more_scores_than_an_int32_counts(device):
    axis = Taps.identity(2700)
    scores = torch.zeros(2, 150, 2700, 2700, dtype=torch.float16, device=device)
    scores = scores.contiguous(memory_format=torch.channels_last)
    scores[1, 7, -1, -2:] = 1
    labels = upsampled_labels(scores, axis, axis, torch.uint8)
    assert labels[1, -1, -2:].tolist() == [7, 7]
    assert labels.sum() == 14


def test_no_logits_are_stored(device):
    rows = cols = Taps.half_pixel(60, 473)
    scores = random_scores(1, 2, 150, rows, cols).to(device).requires_grad_()
    labels = random_labels(1, 2, 150, rows, cols).to(device)
    for _ in range(2):  # the first time chooses the launch
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        upsampled_cross_entropy(scores, rows, cols, labels).backward()
        extra = torch.cuda.max_memory_allocated() - before
    assert extra < 2 * 150 * 473 * 473 * 4 / 5
