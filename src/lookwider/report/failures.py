"""How well the built-in scenes' three kinds of failure are avoided, counted in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text
from torch import Tensor

from lookwider.data.scenes.classes import FAILURE_KINDS, PROBES, SceneClass

LOOKALIKES: dict[SceneClass, tuple[SceneClass, ...]] = {
    SceneClass.BOAT: (SceneClass.CAR,),
    SceneClass.CAR: (SceneClass.BOAT,),
    SceneClass.HOUSE: (SceneClass.SKYSCRAPER,),
    SceneClass.SKYSCRAPER: (SceneClass.HOUSE,),
    SceneClass.PILLOW: (SceneClass.BED,),
    SceneClass.POLE: (SceneClass.SIGN, SceneClass.LIGHT),
    SceneClass.SIGN: (SceneClass.POLE, SceneClass.LIGHT),
    SceneClass.LIGHT: (SceneClass.POLE, SceneClass.SIGN),
}
"""What a class looks like from nearby; see `lookwider.data.scenes`."""

EXPLANATIONS: dict[int, str] = {
    1: "The same blob is a boat on a lake and a car on a road, and mist hides the ground next to "
    "it. Only the wider scene tells.",
    2: "A house and a skyscraper have the same facade. A patch of it fits both; only the whole "
    "shape tells.",
    3: "A pillow has its sheet's pattern. Poles, signs and lights share one thin mast and differ "
    "only at its end.",
}
"""The kinds of failure in plain words."""


@dataclass(frozen=True)
class FailureScore:
    """What became of the pixels that probe one kind of failure.

    Attributes:
        kind: position in `FAILURE_KINDS`; 0 are the pixels that probe none.
        pixels: how many there are.
        right: those with the right class.
        alike: those that were taken for a look-alike.
    """

    kind: int
    pixels: int
    right: int
    alike: int

    @property
    def name(self) -> str:
        """The kind in words."""
        return FAILURE_KINDS[self.kind] if self.kind else "all other pixels"

    @property
    def accuracy(self) -> float:
        """Share of the pixels that is right; nan without a pixel."""
        return _share(self.right, self.pixels)

    @property
    def alike_share(self) -> float:
        """Share of the pixels that was taken for a look-alike; nan without a pixel."""
        return _share(self.alike, self.pixels)

    @property
    def other_share(self) -> float:
        """Share of the pixels that was taken for anything else; nan without a pixel."""
        return _share(self.pixels - self.right - self.alike, self.pixels)


def failure_scores(counts: Tensor) -> tuple[FailureScore, ...]:
    """Return the three kinds and, at last, the pixels that probe none.

    What a pixel probes follows from its true class, so the confusion of classes says it all.

    Shape:
        counts (21, 21), ``[truth, prediction]``.
    """
    scores = [_score(counts, kind, members) for kind, members in PROBES.items()]
    probed = {member for members in PROBES.values() for member in members}
    rest = tuple(member for member in SceneClass if member not in probed)
    return (*scores, _score(counts, 0, rest))


def _score(counts: Tensor, kind: int, members: tuple[SceneClass, ...]) -> FailureScore:
    return FailureScore(
        kind,
        pixels=int(counts[list(members)].sum()),
        right=sum(int(counts[m, m]) for m in members),
        alike=sum(int(counts[m, twin]) for m in members for twin in LOOKALIKES.get(m, ())),
    )


def failure_table(names: Sequence[str], scores: Sequence[Sequence[FailureScore]]) -> Table:
    """Return what runs got right, and took for a look-alike, as a table for a terminal.

    Args:
        names: of the runs.
        scores: of each run, from `failure_scores`.
    """
    table = Table(title="right (taken for a look-alike), in per cent", title_justify="left")
    table.add_column("pixels that probe")
    for name in names:
        table.add_column(Text(name), justify="right")
    for kind in zip(*scores, strict=True):
        cells = (f"{100 * own.accuracy:.1f} ({100 * own.alike_share:.1f})" for own in kind)
        table.add_row(kind[0].name, *cells)
    return table


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
