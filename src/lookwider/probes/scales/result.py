"""The scales of a network's features: figures, a table, files."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from lookwider.images import write_bytes
from lookwider.probes.scales.picture import scales_picture
from lookwider.probes.scales.points import Point, Stage
from lookwider.probes.scales.statistics import EDGES, Norms

_COMPARED: dict[Stage, str] = {
    "output": "between layers",
    "input": "between the maps that are fused",
    "scaled": "between them once normalised and scaled",
}


@dataclass(frozen=True, eq=False)
class FeatureScales:
    """The L2 norms of the features of a network's layers.

    Attributes:
        network: the network's name.
        images: how many were measured.
        norms: what was found at each place, in the order of the network.
        learned: the learned scales of each `L2Norm`, by its name: (C,), or (1,) where shared.
    """

    network: str
    images: int
    norms: Mapping[Point, Norms]
    learned: Mapping[str, npt.NDArray[np.float64]]

    def of(self, stage: Stage) -> dict[str, Norms]:
        """Return what was found at one stage, by layer."""
        return {point.layer: norms for point, norms in self.norms.items() if point.stage == stage}

    def spread(self, stage: Stage) -> float:
        """Return how many times the largest layer's median norm is the smallest's.

        nan where no layer has this stage; infinite where a median is 0.
        """
        medians = [norms.median for norms in self.of(stage).values()]
        if not medians:
            return float("nan")
        return max(medians) / min(medians) if min(medians) else float("inf")

    def summary(self) -> str:
        """Return in a line what normalisation does to the differences between layers."""
        parts = [
            f"{self.spread(stage):.3g} {words}"
            for stage, words in _COMPARED.items()
            if len(self.of(stage)) > 1
        ]
        if not parts:
            return "one layer was measured: nothing to compare"
        return f"the largest median norm is so many times the smallest: {', '.join(parts)}"

    def table(self) -> Table:
        """Return the figures as a table for a terminal."""
        title = f"{self.network}: L2 norms of the features of {self.images} images"
        table = Table(title=Text(title), title_justify="left")
        table.add_column("features of", overflow="fold")
        for name in ("stage", "width", "median", "mean", "middle 90 %", "zeros %"):
            table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
        for point, norms in self.norms.items():
            middle = (norms.quantile(0.05), norms.quantile(0.95))
            table.add_row(
                Text(point.short),
                point.words,
                str(norms.channels),
                _figure(norms.median),
                _figure(norms.mean),
                " to ".join(_figure(norm) for norm in middle),
                f"{100 * norms.share_zero:.1f}",
            )
        return table

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON holds them."""
        return {
            "network": self.network,
            "images": self.images,
            "layers": [
                {"layer": point.layer, "stage": point.stage, "of": point.of, **norms.to_json()}
                for point, norms in self.norms.items()
            ],
            "learned_scales": {
                layer: {
                    "channels": len(values),
                    "mean": float(values.mean()),
                    "std": float(values.std()),
                    "min": float(values.min()),
                    "max": float(values.max()),
                }
                for layer, values in self.learned.items()
            },
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return histograms, channels' root mean squares and learned scales, by name."""
        found: dict[str, npt.NDArray[Any]] = {"edges": EDGES}
        for point, norms in self.norms.items():
            found[f"{point.layer}/{point.stage}/histogram"] = norms.histogram
            found[f"{point.layer}/{point.stage}/channel_rms"] = norms.channel_rms
        return found | {f"{layer}/scale": values for layer, values in self.learned.items()}

    def picture(self) -> bytes:
        """Return a PNG: the distribution of norms of each layer, and the learned scales."""
        title = f"{self.network}, {self.images} images"
        return scales_picture(self.norms, self.learned, title)

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``scales.json``, ``scales.npz`` and ``scales.png``; return their paths."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **self.arrays())
        files = {
            "scales.json": json.dumps(self.to_json(), indent=1, allow_nan=False).encode(),
            "scales.npz": buffer.getvalue(),
            "scales.png": self.picture(),
        }
        for name, data in files.items():
            write_bytes(Path(folder) / name, data)
        return [Path(folder) / name for name in files]


def _figure(value: float) -> str:
    """Return a number to three digits."""
    return f"{value:.0f}" if 1000 <= value < 1e6 else f"{value:.3g}"
