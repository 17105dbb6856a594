"""What each run mended and broke of the first one."""

from __future__ import annotations

from collections.abc import Sequence

from lookwider.diagnosis.comparison import Comparison
from lookwider.report.parts import Block, Cell, Table
from lookwider.report.run_report import RunReport
from lookwider.report.tables import percent, thousands

MOST_CLASSES = 8
"""Classes that are named."""

Compared = Sequence[tuple[int, RunReport, Comparison]]


def mended_blocks(runs: Sequence[RunReport]) -> list[Block]:
    """Return tables of what the later runs mended and broke, by kind and by class; or nothing."""
    compared = [(i, run, run.comparison) for i, run in enumerate(runs) if run.comparison]
    if not compared:
        return []
    return [kinds_table(compared), classes_table(compared)]


def kinds_table(compared: Compared) -> Table:
    """Return mended and broken pixels by kind of failure, a pair of columns per run."""
    first = compared[0][2].first
    kinds = [(kind.title, kind.kind) for kind in first.kinds] + [("none of the three", "other")]
    rows = []
    for title, key in kinds:
        pairs = [(c.mended.by_kind[key], c.broken.by_kind[key]) for _, _, c in compared]
        rows.append((Cell(title), *(cell for pair in pairs for cell in _pair(*pair))))
    totals = [(c.mended.pixels, c.broken.pixels) for _, _, c in compared]
    rows.append((Cell("all"), *(cell for pair in totals for cell in _pair(*pair))))
    return Table(
        ("kind", *(f"{run.name} {what}" for _, run, _ in compared for what in _COLUMNS)),
        tuple(rows),
        f"Pixels where {first.name} is wrong and the other run is right (mended), and the other "
        f"way round (broken). Mended ones by the kind of failure of {first.name}, broken ones by "
        "the other run's.",
        runs={
            1 + len(_COLUMNS) * n + m: i
            for n, (i, _, _) in enumerate(compared)
            for m in range(len(_COLUMNS))
        },
    )


_COLUMNS = ("mended", "broke", "net")


def _pair(mended: int, broken: int) -> tuple[Cell, ...]:
    return (Cell(thousands(mended)), Cell(thousands(broken)), Cell(signed(mended - broken)))


def signed(number: int) -> str:
    r"""Return a number with its sign.

    Example:
        >>> signed(3), signed(0), signed(-1200)
        ('+3', '0', '−1\u202f200')
    """
    sign = "+" if number > 0 else "−" if number < 0 else ""
    return sign + thousands(abs(number))


def classes_table(compared: Compared) -> Table:
    """Return the classes where most changed, net in per cent of their pixels."""
    gains = [
        [
            (mended.pixels - broken.pixels) / mended.labelled if mended.labelled else float("nan")
            for mended, broken in zip(c.mended.per_class, c.broken.per_class, strict=True)
        ]
        for _, _, c in compared
    ]
    names = [each.name for each in compared[0][2].mended.per_class]
    most = {
        k: max((abs(gain[k]) for gain in gains if gain[k] == gain[k]), default=0.0)
        for k in range(len(names))
    }
    chosen = sorted(most, key=lambda k: (-most[k], k))[:MOST_CLASSES]
    return Table(
        ("class", *(run.name for _, run, _ in compared)),
        tuple(
            (Cell(names[k]), *(Cell(_points(gain[k])) for gain in gains)) for k in chosen if most[k]
        ),
        f"Mended less broken pixels, in per cent of the class's pixels, against "
        f"{compared[0][2].first.name}",
        folded="Which classes were mended or broken most",
        runs={1 + n: i for n, (i, _, _) in enumerate(compared)},
    )


def _points(share: float) -> str:
    sign = "+" if share > 0 else "−" if share < 0 else ""
    return sign + percent(abs(share))
