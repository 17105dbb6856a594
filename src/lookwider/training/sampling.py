"""Which sample is drawn when, and the seed of every random draw: pure functions of the seed.

Nothing here remembers anything, so a run that starts at step 1000 draws what an uninterrupted
run draws at step 1000, without going through the steps before.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from lookwider.data.loading import Draw
from lookwider.errors import ConfigError

Stream = Literal["order", "transform", "forward", "loss", "weights"]
"""What a draw is for; streams never share a seed."""

_STREAMS: dict[Stream, int] = {"order": 0, "transform": 1, "forward": 2, "loss": 3, "weights": 4}


def seed_for(seed: int, stream: Stream, *place: int) -> int:
    """Return the seed of one random draw, below 2**63.

    Args:
        seed: the run's seed.
        stream: what is drawn.
        place: where in the run, e.g. step and position in the batch.

    Example:
        >>> seed_for(0, "forward", 7) == seed_for(0, "forward", 7)
        True
        >>> seed_for(0, "forward", 7) == seed_for(0, "loss", 7)
        False
    """
    mixed = np.random.SeedSequence([seed, _STREAMS[stream], *place])
    return int(mixed.generate_state(1, np.uint64)[0] >> np.uint64(1))


@lru_cache(maxsize=4)
def epoch_order(length: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order of an epoch's samples: a permutation."""
    generator = np.random.default_rng(seed_for(seed, "order", epoch))
    return generator.permutation(length).astype(np.int64)


def sample_index(length: int, seed: int, position: int) -> int:
    """Return the sample at a position of the endless sequence of shuffled epochs.

    Example:
        >>> sorted(sample_index(3, seed=0, position=p) for p in (3, 4, 5))
        [0, 1, 2]
    """
    epoch, within = divmod(position, length)
    return int(epoch_order(length, seed, epoch)[within])


def batch_draws(length: int, batch_size: int, seed: int, step: int) -> list[Draw]:
    """Return the draws of batch ``step``; no sample twice within an epoch, none left over.

    Batches go on over the end of an epoch, so each has ``batch_size`` samples: there is never a
    lone last sample for batch normalisation to fail on.
    """
    first = step * batch_size
    return [
        Draw(
            index=sample_index(length, seed, first + position),
            seed=seed_for(seed, "transform", step, position),
        )
        for position in range(batch_size)
    ]


class StepSampler(Sampler[list[Draw]]):
    """The batches from ``start`` to ``stop``: what a loader takes as its batch sampler.

    It has no length on purpose: to the trainer a run is one long epoch that begins at ``start``.

    Args:
        length: samples of the data set.
        batch_size: samples of a batch, over all processes.
        seed: the run's seed.
        start: first batch.
        stop: the batch after the last.
        rank: this process.
        world_size: processes; each takes as many samples of a batch, the first ones the first.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        *,
        start: int,
        stop: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if length < 1:
            raise ConfigError("got a data set without samples, expected at least one")
        if batch_size % world_size:
            raise ConfigError(
                f"got batch_size={batch_size} for {world_size} processes, "
                f"expected a multiple of {world_size}"
            )
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.stop = stop
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in range(self.start, self.stop):
            draws = batch_draws(self.length, self.batch_size, self.seed, step)
            share = self.batch_size // self.world_size
            yield draws[self.rank * share :][:share]
