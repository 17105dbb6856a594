"""A paper's own numbers for a row of its table, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["paper", "release", "secondary", "memory"]
"""Where a number was read.

* ``"paper"``: in the paper's own table.
* ``"release"``: in the notes of the authors' released networks.
* ``"secondary"``: in other works that cite it.
* ``"memory"``: nowhere; it is remembered and was not verified.
"""

MARKS: dict[Source, str] = {"paper": "", "release": "*", "secondary": "+", "memory": "?"}
"""What follows a number, so that its source is seen in every table."""

MEANINGS: dict[Source, str] = {
    "release": "from the notes of the authors' released networks, not the paper's table",
    "secondary": "as other works cite it, not read in the paper",
    "memory": "from memory, NOT verified",
}
"""The marks in words."""


@dataclass(frozen=True)
class Published:
    """What a paper reports for a row, in per cent.

    Attributes:
        mean_iou: None where it reports none.
        pixel_accuracy: likewise.
        source: how sure the numbers are.
        remark: what it reports in words, such as that the training diverged.

    Example:
        >>> Published(40.2, source="memory").shown("mean_iou")
        '40.2?'
    """

    mean_iou: float | None = None
    pixel_accuracy: float | None = None
    source: Source = "paper"
    remark: str = ""

    def shown(self, metric: Literal["mean_iou", "pixel_accuracy"]) -> str:
        """Return a number with its mark, the remark where there is no number, or a dash."""
        value = self.mean_iou if metric == "mean_iou" else self.pixel_accuracy
        if value is not None:
            digits = 1 if value == round(value, 1) else 2  # as printed
            return f"{value:.{digits}f}{MARKS[self.source]}"
        if self.remark and metric == "mean_iou":
            return f"{self.remark}{MARKS[self.source]}"
        return "-"
