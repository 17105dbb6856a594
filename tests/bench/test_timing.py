from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lookwider.bench.timing import Timing, interleaved


def test_candidates_take_turns_and_the_warm_up_does_not_count() -> None:
    calls: list[str] = []

    def candidate(name: str) -> Callable[[], None]:
        return lambda: calls.append(name)

    rounds: list[int] = []
    timings = interleaved(
        {"a": candidate("a"), "b": candidate("b")}, 2, on_round=lambda done, _: rounds.append(done)
    )
    assert calls == ["a", "b"] * 3
    assert rounds == [0, 1, 2]
    assert [len(timing.seconds) for timing in timings.values()] == [2, 2]


def test_what_is_measured_is_the_time_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 4.0, 4.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert interleaved({"a": lambda: None}, 1, warmup=0)["a"].seconds == (3.0,)


def test_median_deviation_and_ratio_are_of_rounds() -> None:
    fast, plain = Timing((1.0, 2.0, 9.0)), Timing((2.0, 6.0, 9.0))
    assert (fast.median, fast.deviation) == (2.0, 1.0)
    assert fast.ratio(plain) == (2.0, 1.0, 3.0)
