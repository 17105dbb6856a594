"""What all places of a tensor see of the image, along both of its axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lookwider.layers.field_axes import Axis, joined


@dataclass(frozen=True, eq=False)
class Seen:
    """What the places of a tensor see.

    Attributes:
        rows: from top to bottom.
        cols: from left to right.
        dims: which dimensions the rows and columns are, counted from the last, -1; None of a
            tensor that has none.
        rank: how many dimensions the tensor has.
    """

    rows: Axis
    cols: Axis
    dims: tuple[int, int] | None = (-2, -1)
    rank: int = 4

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns."""
        return self.rows, self.cols

    def with_axes(self, rows: Axis, cols: Axis) -> Seen:
        """Return the same with other axes."""
        return Seen(rows, cols, self.dims, self.rank)

    def transposed(self) -> Seen:
        """Return the same with rows and columns in each other's place."""
        dims = None if self.dims is None else self.dims[::-1]
        return Seen(self.cols, self.rows, dims, self.rank)

    def blurred(self, shape: Sequence[int]) -> Seen:
        """Return what a tensor of a shape sees when every place of it may see anything."""
        dims = (-2, -1) if len(shape) == 4 else None
        height, width = (shape[-2], shape[-1]) if dims else (1, 1)
        rows, cols = self.rows.everything(height), self.cols.everything(width)
        return Seen(rows, cols, dims, len(shape))

    def same(self, result: Tensor) -> Seen:
        """Return what a result sees that was made place by place."""
        if self.dims is None or result.dim() != self.rank:
            return self.blurred(result.shape)
        lengths = [result.shape[dim] for dim in self.dims]
        if any(len(axis) not in (1, n) for axis, n in zip(self.axes, lengths, strict=True)):
            return self.blurred(result.shape)
        rows, cols = (axis.stretched(n) for axis, n in zip(self.axes, lengths, strict=True))
        return self.with_axes(rows, cols)


Rule = Callable[[Seen, dict[str, Any], Tensor], Seen]
"""What is seen, the function's arguments by name and its result -> what the result sees."""


def united(known: Sequence[Seen]) -> Seen:
    """Return what several tensors see together, place by place."""
    if len(known) == 1:
        return known[0]
    main = max(known, key=lambda seen: (seen.dims is not None, seen.rank))
    lengths = [max(len(seen.axes[i]) for seen in known) for i in (0, 1)]
    rows, cols = (joined([seen.axes[i] for seen in known], lengths[i]) for i in (0, 1))
    return main.with_axes(rows, cols)
