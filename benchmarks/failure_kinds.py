"""Print evaluations on the built-in scenes side by side, by kind of failure, as Markdown.

python benchmarks/failure_kinds.py runs/a runs/b --split test
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from lookwider.report.failures import failure_scores


def column(run: Path, split: str) -> dict[str, str]:
    """Return what a run reached, in per cent, by name."""
    path = run / "evaluation" / split / "evaluation.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    kinds = failure_scores(torch.tensor(content["confusion"]))
    values = {"mean IoU": content["mean_iou"], "pixel accuracy": content["pixel_accuracy"]}
    values |= {score.name: score.accuracy for score in kinds}
    return {name: f"{100 * value:.1f}" for name, value in values.items()}


def main() -> None:
    """Read the evaluations and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    columns = {run.name: column(run, options.split) for run in options.runs}
    names = list(next(iter(columns.values())))
    rows = [[name, *(values[name] for values in columns.values())] for name in names]
    lines = [["", *columns], ["---", *["---:"] * len(columns)], *rows]
    print("\n".join("| " + " | ".join(line) + " |" for line in lines))


if __name__ == "__main__":
    main()
