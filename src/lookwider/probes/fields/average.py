"""The mean of several fields: over images, over places, or over units."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lookwider.errors import ConfigError
from lookwider.images import write_bytes
from lookwider.probes.fields.pictures import Panel, fields_picture
from lookwider.probes.fields.result import MeasuredField, npz
from lookwider.probes.fields.theoretical import Box


class Spread(NamedTuple):
    """A mean and the sample deviation; that of a single value is nan."""

    mean: float
    deviation: float


@dataclass(frozen=True, eq=False)
class AverageField:
    """The mean of fields of one layer, laid over each other at the place that was watched.

    Attributes:
        fields: that were averaged.
        values: (H, W) mean of the maps, each as shares of its largest value. A pixel that lies
            outside of some of the images is averaged over the others.
        at: (row, column) of the place in ``values``.
    """

    fields: tuple[MeasuredField, ...]
    values: npt.NDArray[np.float32]
    at: tuple[int, int]

    @property
    def method(self) -> str:
        """How the fields were measured."""
        return self.fields[0].method

    @property
    def layer(self) -> str:
        """Full name of the layer."""
        return self.fields[0].layer

    @property
    def threshold(self) -> float:
        """Share of the largest mean above which a pixel is in the region."""
        return self.fields[0].threshold

    @cached_property
    def region(self) -> npt.NDArray[np.bool_]:
        """The pixels (H, W) of the mean map above the threshold."""
        return np.asarray(self.values > self.threshold * self.values.max())

    @property
    def area(self) -> Spread:
        """Pixels of the fields' own regions."""
        return self._spread(lambda one: one.area)

    @property
    def side(self) -> Spread:
        """Sides of squares of these areas."""
        return self._spread(lambda one: one.side)

    @property
    def share_of_image(self) -> Spread:
        """Shares of the images that the regions hold."""
        return self._spread(lambda one: one.share_of_image)

    @property
    def share_of_theoretical(self) -> Spread:
        """Shares of the theoretical fields inside the images that the regions hold."""
        return self._spread(lambda one: one.share_of_theoretical)

    @property
    def unit_area(self) -> Spread:
        """Pixels of the chosen units' own regions, over fields and units; nan without units."""
        areas = [area for one in self.fields for area in one.unit_areas]
        return _spread(areas) if areas else Spread(math.nan, math.nan)

    def to_json(self) -> dict[str, Any]:
        """Return the means as JSON holds them, and each field's own figures."""
        spreads = {
            name: [None if math.isnan(value) else value for value in getattr(self, name)]
            for name in ("area", "side", "share_of_image", "share_of_theoretical", "unit_area")
        }
        return {
            "method": self.method,
            "layer": self.layer,
            "threshold": self.threshold,
            "mean_and_deviation": spreads,
            "area_of_the_mean_map": int(self.region.sum()),
            "fields": [one.to_json() for one in self.fields],
        }

    def panel(self, title: str | None = None) -> Panel:
        """Return this as a part of a picture, without an image."""
        return Panel(
            title=title or f"{self.method}: mean of {len(self.fields)}",
            image=None,
            values=self.values,
            region=self.region,
            box=self._box(),
            at=self.at,
        )

    def save(self, folder: str | Path, stem: str | None = None) -> list[Path]:
        """Write the maps (.npz), the figures (.json) and a picture (.png); return their paths."""
        stem = f"{self.method}-field-mean" if stem is None else stem
        title = f"layer {self.layer}: mean of {len(self.fields)} fields"
        files = {
            f"{stem}.npz": npz({"values": self.values, "region": self.region}),
            f"{stem}.json": json.dumps(self.to_json(), indent=1, allow_nan=False).encode(),
            f"{stem}.png": fields_picture([[self.panel()]], title=title),
        }
        for name, data in files.items():
            write_bytes(Path(folder) / name, data)
        return [Path(folder) / name for name in files]

    def _spread(self, number: Callable[[MeasuredField], float]) -> Spread:
        return _spread([number(one) for one in self.fields])

    def _box(self) -> Box:
        """Return what holds all theoretical fields."""
        boxes = [
            np.array(one.theoretical.box) + np.tile(np.subtract(self.at, one.at), 2)
            for one in self.fields
        ]
        low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
        return Box(int(low[0]), int(low[1]), int(high[2]), int(high[3]))


def _spread(numbers: Sequence[float]) -> Spread:
    values = np.array(numbers, np.float64)
    deviation = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return Spread(float(values.mean()), deviation)


def average_fields(fields: Sequence[MeasuredField]) -> AverageField:
    """Average fields of one layer over images, places or units.

    Args:
        fields: measured the same way.

    Raises:
        ConfigError: there are none, or they are of different layers, methods or thresholds.
    """
    if not fields:
        raise ConfigError("got no field to average, expected at least one")
    kinds = sorted({f"{one.method} of {one.layer} above {one.threshold:g}" for one in fields})
    if len(kinds) > 1:
        raise ConfigError(
            f"cannot average {' with '.join(kinds)}; measure all with one method, layer and "
            "threshold"
        )
    above = np.max([one.at for one in fields], axis=0)
    below = np.max([np.subtract(one.values.shape, one.at) for one in fields], axis=0)
    total, count = np.zeros(above + below), np.zeros(above + below)
    for one in fields:
        row, col = (int(n) for n in above - np.array(one.at))
        height, width = one.values.shape
        place = (slice(row, row + height), slice(col, col + width))
        total[place] += one.shares.astype(np.float64)
        count[place] += 1
    return AverageField(
        fields=tuple(fields),
        values=(total / np.maximum(count, 1)).astype(np.float32),
        at=(int(above[0]), int(above[1])),
    )
