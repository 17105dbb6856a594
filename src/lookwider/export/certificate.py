"""What was compared before a file was written: the parity certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from lookwider.export.formats import DType, Options


@dataclass(frozen=True)
class Tolerance:
    """How far an exported network may be from PyTorch's float32.

    Attributes:
        relative: worst difference of a logit, as a share of the largest one.
        agreement: least share of pixels with the same label.
    """

    relative: float
    agreement: float


TOLERANCES: dict[DType, Tolerance] = {
    "float32": Tolerance(1e-4, 0.99),
    "bfloat16": Tolerance(0.1, 0.9),
    "int8": Tolerance(0.5, 0.8),
}
"""By dtype. Of narrow ones the measured loss of mean IoU says more."""


@dataclass(frozen=True)
class Comparison:
    """Both networks on images of one size.

    Attributes:
        batch: images.
        height: of the images.
        width: of the images.
        absolute: worst difference of a logit; None of a file that gives labels.
        relative: the same as a share of the largest logit of PyTorch.
        pixels: all.
        different: those with another label than PyTorch's.
        near_ties: those of them where the two labels' logits are closer than the tolerance.
    """

    batch: int
    height: int
    width: int
    absolute: float | None
    relative: float | None
    pixels: int
    different: int
    near_ties: int


@dataclass(frozen=True)
class MeasuredLoss:
    """Mean IoU on labelled images, before and after.

    Attributes:
        images: how many.
        pytorch: of the model, in float32.
        exported: of the file.
    """

    images: int
    pytorch: float
    exported: float


@dataclass(frozen=True)
class Certificate:
    """The parity certificate of an exported network.

    Attributes:
        options: what was exported and how.
        judge: the runtime that was compared with PyTorch, with its version.
        comparisons: one for each size that was tried.
        tolerance: what was allowed.
        weights_sha256: of the model's tensors.
        versions: of the libraries that made the file.
        loss: of mean IoU, where labelled images were given.
        notes: what a user of the file has to know.
        files: name -> SHA-256 of what was written.
    """

    options: Options
    judge: str
    comparisons: tuple[Comparison, ...]
    tolerance: Tolerance
    weights_sha256: str
    versions: Mapping[str, str]
    loss: MeasuredLoss | None = None
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def worst(self) -> float | None:
        """The worst relative difference of a logit; None of a file that gives labels."""
        found = [c.relative for c in self.comparisons if c.relative is not None]
        return max(found, default=None)

    @property
    def agreement(self) -> float:
        """The share of all pixels with the same label."""
        pixels = sum(c.pixels for c in self.comparisons)
        return 1 - sum(c.different for c in self.comparisons) / pixels

    @property
    def problem(self) -> str | None:
        """Why the file must not be used, or None."""
        if self.worst is not None and not self.worst <= self.tolerance.relative:  # NaN too
            return (
                f"a logit differs by {self.worst:.1e} of the largest one, more than "
                f"{self.tolerance.relative:.0e}"
            )
        clear = sum(c.different - c.near_ties for c in self.comparisons)
        if clear:
            return f"{clear} pixels have another label, and not by a near tie"
        if self.agreement < self.tolerance.agreement:
            return (
                f"{100 * self.agreement:.1f} % of the pixels have the same label, fewer than "
                f"{100 * self.tolerance.agreement:.0f} %"
            )
        return None

    def to_json(self) -> dict[str, Any]:
        """Return everything, for files and scripts."""
        found = asdict(self)
        return found | {
            "worst": self.worst,
            "agreement": self.agreement,
            "passed": self.problem is None,
        }

    def table(self) -> Table:
        """Return the comparisons as a table."""
        title = f"PyTorch and {self.judge}"
        found = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for heading in ("batch", "size", "worst", "of the largest", "other labels", "near ties"):
            found.add_column(heading, justify="right")
        for c in self.comparisons:
            numbers = ["-" if n is None else f"{n:.1e}" for n in (c.absolute, c.relative)]
            cells = (f"{c.batch}", f"{c.height}x{c.width}", *numbers)
            found.add_row(*cells, f"{c.different} of {c.pixels}", f"{c.near_ties}")
        return found


def certificate_path(path: Path) -> Path:
    """Return where the certificate of an exported file lies.

    Example:
        >>> certificate_path(Path("road.onnx")).name
        'road.onnx.certificate.json'
    """
    return path.with_name(f"{path.name}.certificate.json")
