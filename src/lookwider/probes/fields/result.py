"""What was measured of one place's field: a value per pixel, and what follows from it."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookwider.errors import ConfigError
from lookwider.images import write_bytes
from lookwider.probes.fields.pictures import Panel, fields_picture
from lookwider.probes.fields.theoretical import TheoreticalField
from lookwider.probes.fields.windows import Places, pixel_map

THRESHOLDS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5)
"""At which areas are listed beside the region's own."""


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of noise that were measured, before they became a map.

    Attributes:
        side: of a window, in pixels.
        corners: (P, 2) first row and column of each.
        values: (P,) discrepancies.
        units: the channels that were chosen; empty where all counted.
        unit_values: (P, U) mean absolute change of each chosen unit.
        passes: batches that went through the network.
    """

    side: int
    corners: Places
    values: npt.NDArray[np.float64]
    units: tuple[int, ...] = ()
    unit_values: npt.NDArray[np.float32] | None = None
    passes: int = 0


@dataclass(frozen=True, eq=False)
class MeasuredField:
    """How much each pixel matters to one place of a layer.

    Attributes:
        method: ``"empirical"`` or ``"gradient"``.
        theoretical: the field that holds all of it.
        values: (H, W) how much each pixel matters.
        threshold: share of the largest value above which a pixel is in the region.
        image: (H, W, C) that was probed.
        settings: how it was measured.
        windows: what was measured, where windows were.
    """

    method: str
    theoretical: TheoreticalField
    values: npt.NDArray[np.float32]
    threshold: float
    image: npt.NDArray[np.generic]
    settings: Mapping[str, Any] = field(default_factory=dict)
    windows: Windows | None = None

    @property
    def layer(self) -> str:
        """Full name of the layer."""
        return self.theoretical.layer

    @property
    def at(self) -> tuple[int, int]:
        """The pixel (row, column) whose place was watched."""
        return self.theoretical.at

    @property
    def largest(self) -> float:
        """The largest value that was measured: of a window, where windows were."""
        values = self.values if self.windows is None else self.windows.values
        return float(values.max())

    @property
    def shares(self) -> npt.NDArray[np.float32]:
        """The values (H, W) as shares of the largest; 0 where nothing matters at all."""
        return self.values / np.float32(self.largest or 1.0)

    @cached_property
    def region(self) -> npt.NDArray[np.bool_]:
        """The pixels (H, W) above the threshold."""
        return np.asarray(self.values > self.threshold * self.largest)

    @property
    def area(self) -> int:
        """Pixels of the region."""
        return int(self.region.sum())

    @property
    def side(self) -> float:
        """Side of a square of the region's area."""
        return math.sqrt(self.area)

    @property
    def share_of_image(self) -> float:
        """Share of the image's pixels that are in the region."""
        return self.area / self.values.size

    @property
    def share_of_theoretical(self) -> float:
        """Share of the theoretical field's pixels inside the image; nan where there are none."""
        return self.area / self.theoretical.area if self.theoretical.area else math.nan

    @property
    def areas(self) -> dict[float, int]:
        """Pixels above several thresholds.

        Where windows were measured closer only near the region's border, the others are upper
        bounds.
        """
        largest = self.largest
        return {share: int((self.values > share * largest).sum()) for share in THRESHOLDS}

    def of_unit(self, unit: int) -> MeasuredField:
        """Return the field of one of the chosen units alone.

        Raises:
            ConfigError: the unit was not chosen when the field was measured.
        """
        known = () if self.windows is None else self.windows.units
        if self.windows is None or self.windows.unit_values is None or unit not in known:
            raise ConfigError(
                f"unit {unit} was not measured by itself; pass units=[{unit}] to empirical_field"
            )
        column = self.windows.unit_values[:, known.index(unit)]
        size, windows = self.theoretical.size, self.windows
        values = pixel_map(size, windows.side, windows.corners, column)
        return replace(
            self,
            values=values * self.theoretical.mask(),
            settings={**self.settings, "unit": unit},
            windows=replace(windows, values=column.astype(np.float64), units=(), unit_values=None),
        )

    @cached_property
    def unit_areas(self) -> tuple[int, ...]:
        """Pixels of each chosen unit's own region, above its own largest value's share.

        Upper bounds where windows were measured closer only near the border of the region of all.
        """
        units = () if self.windows is None else self.windows.units
        return tuple(self.of_unit(unit).area for unit in units)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the maps as JSON holds it."""
        share = self.share_of_theoretical
        return {
            "method": self.method,
            "threshold": self.threshold,
            "area": self.area,
            "side": self.side,
            "share_of_image": self.share_of_image,
            "share_of_theoretical": None if math.isnan(share) else share,
            "areas": {f"{threshold:g}": area for threshold, area in self.areas.items()},
            "unit_areas": list(self.unit_areas),
            "windows": None if self.windows is None else len(self.windows.corners),
            "settings": dict(self.settings),
            "theoretical": self.theoretical.to_json(),
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the maps, and the windows where there were any, as the npz file holds them."""
        arrays: dict[str, npt.NDArray[Any]] = {"values": self.values, "region": self.region}
        if self.windows is not None:
            arrays["corners"] = self.windows.corners
            arrays["discrepancies"] = self.windows.values
            if self.windows.unit_values is not None:
                arrays["units"] = np.array(self.windows.units)
                arrays["unit_values"] = self.windows.unit_values
        return arrays

    def panel(self, title: str | None = None) -> Panel:
        """Return this as a part of a picture."""
        percent = 100 * self.share_of_theoretical
        return Panel(
            title=title or f"{self.method}: {self.side:.0f} px, {percent:.1f} % of theoretical",
            image=self.image,
            values=self.shares,
            region=self.region,
            box=self.theoretical.box,
            at=self.at,
        )

    def save(self, folder: str | Path, stem: str | None = None) -> list[Path]:
        """Write the maps (.npz), the figures (.json) and a picture (.png); return their paths."""
        stem = f"{self.method}-field" if stem is None else stem
        title = f"{self.settings.get('network', 'network')}, layer {self.layer}"
        files = {
            f"{stem}.npz": npz(self.arrays()),
            f"{stem}.json": json.dumps(self.to_json(), indent=1, allow_nan=False).encode(),
            f"{stem}.png": fields_picture([[self.panel()]], title=title),
        }
        for name, data in files.items():
            write_bytes(Path(folder) / name, data)
        return [Path(folder) / name for name in files]


def npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays as the content of a compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
