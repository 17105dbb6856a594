"""Where tiles lie along one axis of an image, and which cells of which map are theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lookwider.inference.tiles.cells import CellAxis
from lookwider.layers.taps import Taps


@dataclass(frozen=True, eq=False)
class Span:
    """One axis of a tile.

    Attributes:
        core: the pixels that it answers for.
        window: the pixels that it reads.
        needed: the pixels that reach any of its cells.
        owned: of each of the trunk's maps the cells that it tells the context of, counted from
            the whole map's first; every cell is one tile's.
        scores: the cells of the scores that its core is interpolated from.
    """

    core: slice
    window: slice
    needed: slice
    owned: tuple[slice, ...]
    scores: slice

    @property
    def halo_needed(self) -> int:
        """Pixels that are needed beyond the core, on the side where they are more."""
        return _beyond(self.core, self.needed)

    @property
    def halo(self) -> int:
        """Pixels that are read beyond the core, on the side where they are more."""
        return _beyond(self.core, self.window)

    @property
    def exact(self) -> bool:
        """Whether no needed pixel lies beyond the window."""
        return _beyond(self.window, self.needed) <= 0


def spans(
    maps: Sequence[CellAxis],
    scores: CellAxis,
    taps: Taps,
    *,
    step: int,
    tile: int,
    halo: int | None,
) -> tuple[Span, ...]:
    """Return the tiles of one axis.

    Args:
        maps: the trunk's maps that the context is told of; none without context.
        scores: the main scores.
        taps: from these to the pixels.
        step: windows begin at its multiples, and end at its multiples before the image's end.
        tile: length of a core; the last one's is what is left.
        halo: most pixels wanted beyond a core; None for all that are needed.
    """
    found = []
    for start in range(0, scores.pixels, tile):
        core = slice(start, min(start + tile, scores.pixels))
        owned = tuple(
            slice(cells.before(core.start) if start else 0, cells.before(core.stop))
            for cells in maps
        )
        used = taps[core].narrowed()[0]
        parts = [
            (axis, cells)
            for axis, cells in zip((*maps, scores), (*owned, used), strict=True)
            if cells.start < cells.stop
        ]
        needed = _union([core, *(axis.reached(cells) for axis, cells in parts)])
        wanted = needed if halo is None else _within(needed, core, halo)
        wanted = _union([core, wanted, *(axis.holding(cells) for axis, cells in parts)])
        window = _aligned(wanted, scores.pixels, step)
        found.append(Span(core, window, needed, owned, used))
    return tuple(found)


def share_uncut(cells: Sequence[tuple[CellAxis, slice, slice]]) -> float:
    """Return the share of cells that no pixel beyond their tile's window reaches.

    Args:
        cells: of one map, by tile: the axis, the tile's cells of it and the tile's window.
    """
    total = sum(int(own.stop - own.start) for _, own, _ in cells)
    return sum(axis.uncut(own, window) for axis, own, window in cells) / max(total, 1)


def _beyond(inner: slice, outer: slice) -> int:
    """Return how many pixels one reaches beyond the other, on the side where they are more."""
    return int(max(inner.start - outer.start, outer.stop - inner.stop))


def _union(parts: Sequence[slice]) -> slice:
    return slice(min(part.start for part in parts), max(part.stop for part in parts))


def _within(needed: slice, core: slice, halo: int) -> slice:
    return slice(max(needed.start, core.start - halo), min(needed.stop, core.stop + halo))


def _aligned(wanted: slice, pixels: int, step: int) -> slice:
    """Widen to multiples of the step, counted from the image's start and from its end."""
    return slice(wanted.start // step * step, pixels - (pixels - wanted.stop) // step * step)
