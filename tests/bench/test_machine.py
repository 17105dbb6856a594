from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lookwider import create_model
from lookwider.bench import machine
from lookwider.bench.machine import Rates, count_flop, measure_rates, processor
from lookwider.kernels.switches import VARIABLE, without


def test_rates_are_positive_and_small_machines_stop_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SIDES", (64,))
    monkeypatch.setattr(machine, "COPY_BYTES", 2**20)
    rates = measure_rates(torch.float32, torch.device("cpu"))
    assert rates.flops > 0
    assert rates.copied > 0


def test_the_floor_is_the_slower_of_arithmetic_and_memory() -> None:
    rates = Rates(flops=1e9, copied=1e6)
    assert rates.floor(2e9, 1e6) == 2.0
    assert rates.floor(2e9, 5e6) == 5.0


def test_operations_of_a_convolution_by_hand() -> None:
    images, weight = torch.ones(2, 3, 5, 7), torch.ones(4, 3, 3, 3)
    counted = count_flop(lambda: functional.conv2d(images, weight, padding=1))
    assert counted == 2 * (2 * 5 * 7) * 4 * (3 * 3 * 3)


def test_the_processor_has_a_name() -> None:
    assert processor().endswith("AMX")


def test_what_is_deferred_is_not_put_together_to_be_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    model = create_model("pspnet", backbone="resnet18", layer="layer2", hidden=8).eval()
    with torch.no_grad():
        features = model.features(torch.randn(1, 3, 96, 128))
        summary = model.context.summarise(features)
    with without("heads"):
        plain = count_flop(lambda: model.classify(features, summary, (96, 128)))
    assert count_flop(lambda: model.classify(features, summary, (96, 128))) < 0.8 * plain
