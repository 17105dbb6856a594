"""Streaming statistics of feature norms: exact counts, sums in float64, a fixed histogram."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

LOW, HIGH = -8, 8
"""Powers of ten that the histogram spans; what lies outside is counted in its end bins."""

BINS_PER_DECADE = 50

EDGES: npt.NDArray[np.float64] = np.logspace(LOW, HIGH, (HIGH - LOW) * BINS_PER_DECADE + 1)
"""Edges of the histogram's inner bins: neighbours differ by 4.7 %."""


@dataclass(frozen=True, eq=False)
class Norms:
    """The L2 norms of the feature vectors of many places.

    Attributes:
        places: how many.
        mean: of the norms.
        squares: sum of the squared deviations from the mean.
        least: smallest norm.
        most: largest norm.
        histogram: int64 places by norm: below `EDGES`, between them, from the last edge on.
        channel_squares: (C,) float64 sums of the squared features, by channel.
        zeros: how many feature values are exactly 0.
    """

    places: int
    mean: float
    squares: float
    least: float
    most: float
    histogram: npt.NDArray[np.int64]
    channel_squares: npt.NDArray[np.float64]
    zeros: int

    @classmethod
    def of(cls, features: Tensor) -> Norms:
        """Return the statistics of a map, computed in float64.

        Shape:
            (N, C, h, w) or (N, C).

        Example:
            >>> import torch
            >>> Norms.of(torch.tensor([[3.0, 4.0]])).mean
            5.0
        """
        wide = features.detach().double().flatten(2) if features.dim() > 2 else features.double()
        squares = wide.square()
        norms = squares.sum(1).sqrt().flatten().cpu().numpy()
        mean = float(norms.mean())
        others = [axis for axis in range(wide.dim()) if axis != 1]
        return cls(
            places=norms.size,
            mean=mean,
            squares=float(np.square(norms - mean).sum()),
            least=float(norms.min()),
            most=float(norms.max()),
            histogram=np.bincount(
                np.searchsorted(EDGES, norms, side="right"), minlength=len(EDGES) + 1
            ).astype(np.int64),
            channel_squares=squares.sum(others).cpu().numpy(),
            zeros=int((wide == 0).sum()),
        )

    def merge(self, other: Norms) -> Norms:
        """Return the statistics of the places of both (Chan, Golub and LeVeque 1979)."""
        places = self.places + other.places
        apart = other.mean - self.mean
        return Norms(
            places=places,
            mean=self.mean + apart * other.places / places,
            squares=self.squares + other.squares + apart**2 * self.places * other.places / places,
            least=min(self.least, other.least),
            most=max(self.most, other.most),
            histogram=self.histogram + other.histogram,
            channel_squares=self.channel_squares + other.channel_squares,
            zeros=self.zeros + other.zeros,
        )

    @property
    def std(self) -> float:
        """Standard deviation of the norms."""
        return math.sqrt(self.squares / self.places)

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return len(self.channel_squares)

    @property
    def channel_rms(self) -> npt.NDArray[np.float64]:
        """Root of the mean square of each channel: (C,) float64."""
        return np.sqrt(self.channel_squares / self.places)

    @property
    def share_zero(self) -> float:
        """Share of the feature values that are exactly 0."""
        return self.zeros / (self.places * self.channels)

    def quantile(self, share: float) -> float:
        """Return the norm below which this share of the places lies, from the histogram.

        Exact to a bin's width, 4.7 %, and at both ends.

        Args:
            share: from 0 to 1.
        """
        if share <= 0:
            return self.least
        wanted = share * self.places
        below = np.cumsum(self.histogram)
        index = int(np.searchsorted(below, wanted))
        if index == 0:
            return self.least
        if index >= len(EDGES):
            return self.most
        inside = (wanted - (below[index] - self.histogram[index])) / self.histogram[index]
        low, high = EDGES[index - 1], EDGES[index]
        return float(np.clip(low * (high / low) ** inside, self.least, self.most))

    @property
    def median(self) -> float:
        """The norm in the middle, to a bin's width."""
        return self.quantile(0.5)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON holds them."""
        return {
            "places": self.places,
            "channels": self.channels,
            "mean": self.mean,
            "std": self.std,
            "min": self.least,
            "max": self.most,
            "quantiles": {str(q): self.quantile(q) for q in (0.05, 0.25, 0.5, 0.75, 0.95)},
            "zeros": self.share_zero,
        }
