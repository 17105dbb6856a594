"""How kernels are launched: what is timed, when nothing may be, and that it is timed once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from lookwider.kernels.gpu import launch as launching
from lookwider.kernels.gpu.launch import Launch, candidates, fixed_launch, launched

SCORES = torch.zeros(1, 150, 2, 2)


@pytest.fixture
def timings(monkeypatch):
    """Pretend to be a device where the widest launch is the fastest."""
    timed = []

    def seconds(run, launch):
        timed.append(launch)
        return 1 / (launch.classes * launch.warps)

    monkeypatch.setattr(launching, "_seconds", seconds)
    monkeypatch.setattr(launching, "_chosen", {})
    monkeypatch.setattr(launching, "interpreted", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    return timed


@pytest.mark.parametrize("num_classes", [1, 2, 19, 150, 1000])
@pytest.mark.parametrize("pixels", [1, 4, 16, 64])
def test_candidates_are_powers_of_two_that_fit_in_registers(num_classes, pixels):
    found = candidates(num_classes, pixels)
    assert found[0] == fixed_launch(num_classes, pixels)
    assert len(set(found)) == len(found)
    for launch in found:
        assert launch.classes in (1, 2, 4, 8, 16, 32, 64)
        assert launch.warps in (1, 2, 4, 8)
        assert launch.classes < 2 * num_classes
        assert launch.classes * pixels <= 16 * 32 * launch.warps


def test_the_fastest_launch_is_found_once_by_many_threads(timings):
    runs = []
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: launched("labels", SCORES, 64, runs.append), range(40)))
    assert set(runs) == {Launch(64, 8)}
    assert sorted(timings, key=str) == sorted(candidates(150, 64), key=str)


def test_sums_are_in_a_fixed_order_where_results_must_repeat(timings, monkeypatch):
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    runs = []
    launched("loss", SCORES, 64, runs.append)
    assert runs == [fixed_launch(150, 64)]
    assert not timings
    launched("labels", SCORES, 64, runs.append, exact=True)
    assert runs[1] == Launch(64, 8)


def test_nothing_is_timed_while_a_graph_is_captured(timings, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    runs = []
    launched("labels", SCORES, 64, runs.append, exact=True)
    assert runs == [fixed_launch(150, 64)]
    assert not timings
