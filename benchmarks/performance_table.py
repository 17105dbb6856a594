r"""The rows of the benchmarks as a Markdown table and a picture, for a page of the documentation.

    python benchmarks/performance_table.py results/*.json \
        --page docs/performance/index.md --pictures docs/images

The page keeps everything outside the two marks ``<!-- measured -->`` and ``<!-- end -->``. What
benchmarks/scaling.py wrote is drawn, too; other files are left out.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import scaling
from lookwider.figures import png
from timing import Row

BEGIN, END = "<!-- measured -->", "<!-- end -->"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
FAST, MISSED, WANTED = "#0b5fa5", "#d55e00", "0.2"
HEADS = ("work", "precision", "against", "time", "times as fast", "wanted", "extra memory", "equal")


def main() -> None:
    """Read, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", help="JSON files of benchmarks --out")
    parser.add_argument("--page", type=Path, help="Markdown page with the two marks")
    parser.add_argument("--pictures", type=Path, help="folder for performance.png, scaling.png")
    options = parser.parse_args()
    if not options.files:
        print("nothing to do: give the files that benchmarks wrote with --out results/NAME.json")
        return
    facts = [json.loads(path.read_text(encoding="utf-8")) for path in options.files]
    compared = [fact for fact in facts if "rows" in fact]
    rows = sorted(read_rows(compared), key=lambda row: row.wanted is None)
    if not rows:
        raise SystemExit(
            f"got no comparisons in {', '.join(map(str, options.files))}, expected at least one "
            "file with rows: give what a benchmark such as heads.py wrote with --out"
        )
    pictures = {"performance": ("times as fast as the plain form", draw(rows))}
    parts = [machine(compared), markdown(rows)]
    for fact in facts:
        if "sizes" in fact:
            pictures["scaling"] = ("seconds per megapixel by size and by batch", scaling.draw(fact))
    if options.pictures:
        for name, (title, content) in pictures.items():
            path = options.pictures / f"{name}.png"
            path.write_bytes(content)
            folder = options.page.parent if options.page else Path.cwd()
            parts.append(f"![{title}]({Path(os.path.relpath(path, folder)).as_posix()})")
    text = "\n\n".join(parts) + "\n"
    if options.page:
        options.page.write_text(between_marks(options.page.read_text(encoding="utf-8"), text))
    else:
        print(text)


def read_rows(facts: Sequence[dict[str, Any]]) -> list[Row]:
    """Return the comparisons of all files."""
    pairs = ("ratio", "seconds", "memory_mib")
    return [
        Row(**{k: tuple(v) if k in pairs and v is not None else v for k, v in row.items()})
        for fact in facts
        for row in fact["rows"]
    ]


def machine(facts: Sequence[dict[str, Any]]) -> str:
    """Return where it was measured, in words."""
    words = {f"{f['processor']}, {f['threads']} threads, PyTorch {f['torch']}" for f in facts}
    dates = sorted(fact["date"] for fact in facts)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return f"Measured on {'; '.join(sorted(words))}; {when}."


def markdown(rows: Sequence[Row]) -> str:
    """Return the table; ratios to reach come first."""
    rule = ["---", "---", "---", *("---:" for _ in HEADS[3:])]
    lines = [HEADS, rule, *(cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(row: Row) -> list[str]:
    """Return the cells of a row under `HEADS`."""
    middle, least, most = row.ratio
    plain, fast = row.seconds
    memory = row.memory_mib
    equal = "" if row.difference is None else f"{row.difference:.0e}"
    if row.agreement is not None:
        equal += f"{', ' if equal else ''}{percent(row.agreement)} of the labels"
    return [
        row.work,
        row.dtype,
        row.plain,
        f"{duration(plain)} → {duration(fast)}",
        f"**{middle:.2f}** ({least:.2f} to {most:.2f})",
        ""
        if row.wanted is None
        else f"{row.wanted:g}{'' if middle >= row.wanted else ' (missed)'}",
        "" if memory is None else f"{memory[0]:.0f} → {memory[1]:.0f} MiB",
        equal,
    ]


def percent(share: float) -> str:
    """Return a share, 100 % only where it is all.

    Example:
        >>> percent(1.0), percent(0.999999)
        ('100 %', '99.9999 %')
    """
    return "100 %" if share == 1 else f"{min(100 * share, 99.9999):.6g} %"


def duration(seconds: float) -> str:
    """Return seconds in a unit that suits them.

    Example:
        >>> duration(0.0123), duration(2.5)
        ('12.3 ms', '2.50 s')
    """
    if seconds >= 1:
        return f"{seconds:.3g} s" if seconds >= 10 else f"{seconds:.2f} s"
    return f"{1000 * seconds:.3g} ms"


def between_marks(page: str, text: str) -> str:
    """Return a page with other text between its two marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the page has no {BEGIN} and {END}, expected both, in this order")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def draw(rows: Sequence[Row]) -> bytes:
    """Return a PNG of the ratios, with the spread of the rounds and what was wanted."""
    figure = Figure(figsize=(8.5, 1 + 0.32 * len(rows)), dpi=100)
    axes = figure.subplots()
    for place, row in enumerate(rows):
        middle, least, most = row.ratio
        reached = row.wanted is None or middle >= row.wanted
        axes.barh(place, middle - 1, 0.6, left=1, color=FAST if reached else MISSED)
        axes.plot([least, most], [place, place], color="0.4", lw=1)
        if row.wanted is not None:
            axes.plot([row.wanted] * 2, [place - 0.42, place + 0.42], color=WANTED, lw=2)
        axes.annotate(
            f"{middle:.1f}", (max(middle, most), place), (3, 0), textcoords="offset points",
            va="center", fontsize=7,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [f"{row.work}, {row.dtype}" for row in rows], fontsize=7)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.axvline(1, color="0.4", lw=1)
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set_xlabel(
        "times as fast as the plain form (logarithmic); thick marks: the ratio to reach", fontsize=8
    )
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


if __name__ == "__main__":
    main()
