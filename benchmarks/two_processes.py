"""How far a run of two processes is from the same run of one, and how it is continued.

Trains a tiny network in float64 on processors: alone, in two processes, and half of the way each.
Prints the largest difference of any weight or running statistic, and the largest of them. The
learning rate is a small one: a large one makes any training enlarge what rounding began.

    python -m benchmarks.two_processes
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from safetensors.torch import load_file
from tests.training import tiny, together

SETTINGS = (
    *("class_weights=median_frequency", "accumulate=2", "clip_grad=1", "ema=0.5"),
    *("schedule=fixed", "zero_scores=false", "steps=20", "val_every=10"),
    "base_lr=0.001",
)


def train(count: int, data: Path, out: Path, *words: str) -> None:
    """Train in so many processes."""
    answers = together.ended(together.start(count, "train", str(data), str(out), *SETTINGS, *words))
    if any(code for code, _ in answers):
        raise SystemExit("\n".join(said for _, said in answers))


def difference(one: Path, other: Path) -> float:
    """Return the largest difference of the weights of two runs."""
    weights, others = (load_file(run / "last" / "model.safetensors") for run in (one, other))
    return max(float((weights[name] - others[name]).abs().max()) for name in weights)


def largest(run: Path) -> float:
    """Return the largest weight of a run."""
    weights = load_file(run / "last" / "model.safetensors")
    return max(float(tensor.abs().max()) for tensor in weights.values())


def main() -> None:
    """Print a row for each way of sampling the loss."""
    heads = ("two processes", "one, then two", "two, then one", "largest weight")
    print(f"{'loss':10}", *(f"{head:>14}" for head in heads))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = tiny.make_data(root / "data", val=3)
        for sampling in ("whole", "uniform", "balanced", "hard"):
            words = (f"loss_sampling={sampling}",)
            runs = {n: root / f"{sampling}-{n}" for n in ("1", "2", "1-2", "2-1")}
            train(1, data, runs["1"], *words)
            train(2, data, runs["2"], *words)
            for first, second in ((1, 2), (2, 1)):
                out = runs[f"{first}-{second}"]
                train(first, data, out, *words, "steps=10")
                train(second, data, out, *words, "resume=true")
            found = [difference(runs["1"], runs[n]) for n in ("2", "1-2", "2-1")]
            found.append(largest(runs["1"]))
            print(f"{sampling:10}", *(f"{value:14.1e}" for value in found), flush=True)


if __name__ == "__main__":
    main()
