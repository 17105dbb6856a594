"""Print evaluations side by side as a Markdown table.

python benchmarks/compare_runs.py runs/fcn32s runs/fcn16s runs/fcn8s --split test
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def per_cent(value: float | None) -> str:
    """Return a share in per cent; a dash for one that is not defined."""
    return "-" if value is None else f"{100 * value:.1f}"


def table(evaluations: dict[str, dict[str, Any]]) -> str:
    """Return the four metrics and the IoU of each class, a column a run."""
    head = ["", *evaluations]
    rows = [[title] for title in ("mean IoU", "pixel accuracy", "mean accuracy", "fw IoU")]
    keys = ("mean_iou", "pixel_accuracy", "mean_accuracy", "freq_weighted_iou")
    for scores in evaluations.values():
        for row, key in zip(rows, keys, strict=True):
            row.append(per_cent(scores[key]))
    names = next(iter(evaluations.values()))["classes"]
    for name in names:
        rows.append([f"IoU {name}"])
        rows[-1] += [per_cent(scores["classes"][name]["iou"]) for scores in evaluations.values()]
    lines = [head, ["---", *["---:"] * len(evaluations)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Read the evaluations and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    evaluations = {}
    for run in options.runs:
        content = json.loads((run / "evaluation" / options.split / "evaluation.json").read_text())
        evaluations[run.name] = content["scores"]["main"] if "scores" in content else content
    print(table(evaluations))


if __name__ == "__main__":
    main()
