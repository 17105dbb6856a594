import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookwider.errors import ConfigError
from lookwider.training.sampling import StepSampler, batch_draws, sample_index, seed_for


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_every_epoch_holds_every_sample_once(length: int, seed: int, epoch: int) -> None:
    drawn = [sample_index(length, seed, epoch * length + i) for i in range(length)]
    assert sorted(drawn) == list(range(length))


@given(st.integers(1, 20), st.integers(1, 7), st.integers(0, 30), st.integers(1, 10))
def test_a_later_start_draws_the_same(length: int, batch: int, start: int, count: int) -> None:
    stop = start + count
    whole = list(StepSampler(length, batch, 3, start=0, stop=stop))
    assert list(StepSampler(length, batch, 3, start=start, stop=stop)) == whole[start:]
    assert {len(draws) for draws in whole} == {batch}


def test_batches_go_on_over_the_end_of_an_epoch() -> None:
    drawn = [d.index for step in range(3) for d in batch_draws(5, 4, 0, step)]
    assert sorted(drawn[:5]) == sorted(drawn[5:10]) == list(range(5))


def test_seeds_differ_by_seed_stream_and_place() -> None:
    places = [(s, p) for s in range(20) for p in range(4)]
    seeds = [
        seed_for(seed, stream, *place)
        for seed in (0, 1)
        for stream in ("transform", "loss")
        for place in places
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_order_differs_between_epochs_and_seeds() -> None:
    orders = [
        tuple(sample_index(50, seed, epoch * 50 + i) for i in range(50))
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len(set(orders)) == 4


def test_processes_share_a_batch() -> None:
    parts = [
        list(StepSampler(9, 4, 0, start=0, stop=3, rank=rank, world_size=2)) for rank in (0, 1)
    ]
    whole = list(StepSampler(9, 4, 0, start=0, stop=3))
    assert [one + two for one, two in zip(*parts, strict=True)] == whole


def test_sampler_has_no_length() -> None:
    with pytest.raises(TypeError):
        len(StepSampler(4, 2, 0, start=0, stop=2))  # type: ignore[arg-type]


def test_wrong_sizes() -> None:
    with pytest.raises(ConfigError, match="got batch_size=3 for 2 processes, expected a multiple"):
        StepSampler(4, 3, 0, start=0, stop=1, world_size=2)
    with pytest.raises(ConfigError, match="data set without samples"):
        StepSampler(0, 3, 0, start=0, stop=1)


def test_samples_are_uniform_over_positions() -> None:
    first = np.array([sample_index(4, seed, 0) for seed in range(800)])
    assert np.bincount(first, minlength=4).min() > 150
