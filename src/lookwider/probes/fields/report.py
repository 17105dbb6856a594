"""Theoretical, empirical and gradient field of one layer side by side, over one or more images."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from lookwider.errors import ConfigError
from lookwider.images import write_bytes
from lookwider.probes.fields.average import AverageField, Spread, average_fields
from lookwider.probes.fields.pictures import Panel, fields_picture
from lookwider.probes.fields.result import THRESHOLDS, MeasuredField, npz
from lookwider.probes.fields.theoretical import TheoreticalField
from lookwider.probes.network import Network

MOST_SHOWN = 4
"""Images in the picture; the others are only averaged."""


@dataclass(frozen=True, eq=False)
class FieldReport:
    """What is known of the fields of one layer.

    Attributes:
        network: name of the network.
        names: of the images.
        theoretical: the field of each image.
        measured: per method the field of each image.
    """

    network: str
    names: tuple[str, ...]
    theoretical: tuple[TheoreticalField, ...]
    measured: Mapping[str, tuple[MeasuredField, ...]]

    def __post_init__(self) -> None:
        if not self.theoretical:
            raise ConfigError("got no field to report, expected at least one")

    @property
    def layer(self) -> str:
        """Full name of the layer."""
        return self.theoretical[0].layer

    def averages(self) -> dict[str, AverageField]:
        """Return the mean field of each method."""
        return {method: average_fields(fields) for method, fields in self.measured.items()}

    def law(self) -> str:
        """Return size and stride of the layer's theoretical field in words."""
        first = self.theoretical[0]
        if any(math.isinf(length) for length in first.extent):
            return "the whole image, whatever its size"
        height, width = first.extent
        down, right = first.stride
        return f"{height:g} x {width:g} pixels, stride {down:g} x {right:g}"

    def table(self, title: str = "") -> Table:
        """Return a row per kind of field: side, area and shares, with deviations over images.

        "> 0.1" is the threshold, as a share of the largest value. Of chosen units a row tells the
        areas of their own regions, with the deviation over images and units.
        """
        table = Table(title=Text(title) if title else None, title_justify="left")
        table.add_column("field", no_wrap=True)
        for name in ("side, px", "area, px", "% of image", "% of theoretical"):
            table.add_column(name, justify="right")
        shares = [one.share_of_image for one in self.theoretical]
        table.add_row(
            "theoretical",
            f"{_mean([one.side for one in self.theoretical]):.1f}",
            f"{_mean([one.area for one in self.theoretical]):.0f}",
            f"{100 * _mean(shares):.1f}",
            "100.0",
        )
        for method, field in self.averages().items():
            table.add_row(
                f"{method} > {field.threshold:.3g}",
                _shown(field.side),
                _shown(field.area, digits=0),
                _shown(field.share_of_image, 100),
                _shown(field.share_of_theoretical, 100),
            )
            if not math.isnan(field.unit_area.mean):
                table.add_row("  each unit alone", "", _shown(field.unit_area, digits=0), "", "")
        return table

    def areas(self) -> list[str]:
        """Return a line per method: the mean area above several thresholds.

        Where windows were measured closer only near the region's border, the areas of other
        thresholds than the region's are upper bounds.
        """
        lines = []
        for method, fields in self.measured.items():
            shares = [
                _mean([one.areas[threshold] / one.values.size for one in fields])
                for threshold in THRESHOLDS
            ]
            told = ", ".join(
                f"{100 * share:.1f} above {threshold:g}"
                for threshold, share in zip(THRESHOLDS, shares, strict=True)
            )
            most = "at most " if any(one.settings.get("refine") for one in fields) else ""
            lines.append(f"{method}, {most}% of the image: {told}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return all figures as JSON holds them."""
        return {
            "network": self.network,
            "layer": self.layer,
            "images": list(self.names),
            "theoretical": [one.to_json() for one in self.theoretical],
            "measured": {method: field.to_json() for method, field in self.averages().items()},
        }

    def picture(self) -> bytes:
        """Return a PNG: a row per image, and the means beneath where there are several."""
        rows: list[list[Panel | None]] = []
        for index, name in enumerate(self.names[:MOST_SHOWN]):
            found = [fields[index] for fields in self.measured.values()]
            if found:
                field = self.theoretical[index]
                percent = f"{100 * field.share_of_image:.0f} % of the image"
                plain = Panel(
                    f"{name}: theoretical, {percent}", found[0].image, None, None, field.box,
                    field.at,
                )  # fmt: skip
                rows.append([plain, *(one.panel() for one in found)])
        if len(self.names) > 1:
            rows.append([None, *(field.panel() for field in self.averages().values())])
        return fields_picture(rows, title=f"{self.network}, layer {self.layer}")

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``fields.json``, ``fields.png`` and every map; return their paths."""
        folder = Path(folder)
        files = {"fields.json": json.dumps(self.to_json(), indent=1, allow_nan=False).encode()}
        if self.measured:
            files["fields.png"] = self.picture()
        for method, fields in self.measured.items():
            for number, (name, field) in enumerate(zip(self.names, fields, strict=True)):
                stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "image"
                stem = stem if len(self.names) == 1 else f"{number:03d}-{stem}"
                files[f"{stem}-{method}.npz"] = npz(field.arrays())
        for name, data in files.items():
            write_bytes(folder / name, data)
        return [folder / name for name in files]


def layers_table(network: Network, size: tuple[int, int]) -> Table:
    """Return a table of all layers whose output is a map: its size, and the field of a cell."""
    table = Table(title=f"at {size[0]} x {size[1]} pixels", title_justify="left")
    fields = network.fields(size)
    table.add_column("layer", no_wrap=True, min_width=max(map(len, fields), default=0))
    for name in ("map", "channels", "field", "stride", "first cell at"):
        table.add_column(name, justify="right")
    for name, layer in fields.items():
        sizes = ["whole" if math.isinf(f.size) else f"{f.size:g}" for f in (layer.rows, layer.cols)]
        table.add_row(
            Text(name),
            f"{layer.shape[-2]} x {layer.shape[-1]}",
            str(layer.shape[1]),
            sizes[0] if sizes[0] == sizes[1] else " x ".join(sizes),
            _pair(layer.rows.stride, layer.cols.stride),
            _pair(layer.rows.offset, layer.cols.offset),
        )
    return table


def layers_content(network: Network, size: tuple[int, int]) -> dict[str, Any]:
    """Return what `layers_table` shows as JSON holds it; a field of the whole image is null."""
    return {
        name: {
            "channels": layer.shape[1],
            "map": list(layer.shape[-2:]),
            "field": [None if math.isinf(f.size) else f.size for f in (layer.rows, layer.cols)],
            "stride": [layer.rows.stride, layer.cols.stride],
            "offset": [layer.rows.offset, layer.cols.offset],
        }
        for name, layer in network.fields(size).items()
    }


def _pair(rows: float, cols: float) -> str:
    return f"{rows:g}" if rows == cols else f"{rows:g} x {cols:g}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _shown(spread: Spread, factor: float = 1, digits: int = 1) -> str:
    mean = f"{factor * spread.mean:.{digits}f}"
    if math.isnan(spread.deviation):
        return mean
    return f"{mean} ± {factor * spread.deviation:.{digits}f}"
