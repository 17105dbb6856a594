"""Does the cost of a pixel stay flat? From 200 x 200 to 2000 x 2000, and from 1 to 16 images.

lookwider and the plain PyTorch form of the same network, in float32 where nothing else is asked
for, preprocessed images to labels. benchmarks/performance_table.py draws both curves.

    python benchmarks/scaling.py --out results/scaling.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lookwider import create_model
from lookwider.bench.forms import Form, fast_dtype, inference_forms
from lookwider.bench.memory import keeping_freed_memory
from lookwider.figures import png
from timing import interleaved, processor

SIZES, BATCHES = (200, 400, 800, 1400, 2000), (1, 2, 4, 8, 16)
COLOURS = {"lookwider": "#0b5fa5", "plain": "#8c8c8c"}
Points = list[dict[str, float]]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="resnet50_psp")
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    dtype = fast_dtype(options.dtype, torch.device("cpu"))
    torch.manual_seed(0)
    model = create_model("pspnet", backbone=options.backbone, num_classes=options.classes)
    forms = {str(n): form for n, form in inference_forms(model.eval(), dtype).items()}
    with keeping_freed_memory():
        by_size = measure(forms, [(1, side) for side in options.sizes], options.rounds)
        smallest = min(options.sizes)
        by_batch = measure(forms, [(n, smallest) for n in options.batches], options.rounds)
    facts: dict[str, Any] = {
        "network": f"PSPNet on {options.backbone}, {options.classes} classes",
        "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "sizes": by_size,
        "batches": by_batch,
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(facts, indent=1) + "\n")


def measure(forms: dict[str, Form], works: Sequence[tuple[int, int]], rounds: int) -> Points:
    """Return seconds per image and per million pixels of each (batch, side), by form."""
    points: Points = []
    for batch, side in works:
        images = torch.randn(batch, 3, side, side)
        runs = {name: partial(form.segment, images) for name, form in forms.items()}
        timings = interleaved(runs, rounds)
        pixels = batch * side * side / 1e6
        point: dict[str, float] = {"batch": batch, "side": side}
        for name, timing in timings.items():
            point[f"{name} per megapixel"] = timing.median / pixels
            point[f"{name} per image"] = timing.median / batch
            point[f"{name} least"] = min(timing.seconds) / pixels
            point[f"{name} most"] = max(timing.seconds) / pixels
        points.append(point)
        shown = ", ".join(
            f"{name} {point[f'{name} per megapixel']:.2f} s per megapixel" for name in forms
        )
        print(f"{batch} x {side} x {side}: {shown}", flush=True)
    return points


def draw(facts: dict[str, Any]) -> bytes:
    """Return a PNG of both curves."""
    figure = Figure(figsize=(8, 3.4), dpi=110)
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2)
    draw_curve(left, facts["sizes"], "side", "side of the image in pixels")
    draw_curve(right, facts["batches"], "batch", "images at once")
    figure.suptitle(f"{facts['network']}, {facts['dtype']}, {facts['threads']} threads", fontsize=9)
    return png(figure)


def draw_curve(axes: Axes, points: Points, key: str, label: str) -> None:
    """Draw the seconds per megapixel, with the spread of the rounds."""
    for name, colour in COLOURS.items():
        middles = [point[f"{name} per megapixel"] for point in points]
        low = [m - point[f"{name} least"] for m, point in zip(middles, points, strict=True)]
        high = [point[f"{name} most"] - m for m, point in zip(middles, points, strict=True)]
        places = [point[key] for point in points]
        axes.errorbar(places, middles, yerr=(low, high), color=colour, marker="o", ms=4, label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label, fontsize=8)
    axes.set_ylabel("s per megapixel", fontsize=8)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


if __name__ == "__main__":
    main()
