"""FCN's speed claim: a 10 x 10 grid of outputs from one pass over a 500 x 500 image.

FCN (Long et al. 2015), section 3.1: a fully convolutional AlexNet is "more than 5 times faster"
than the classifier run on the 100 crops of 227 x 227 of such a grid. Measured forward and
backward, against crops in one batch, in small batches and one by one.

    python benchmarks/fcn_speed.py --rounds 3
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from lookwider.backbones.alexnet import alexnet
from timing import Timing, interleaved

SIDE, CROP, GRID = 500, 227, 10


def classifier() -> nn.Module:
    """Return AlexNet with its 1000 classes: 227 x 227 to one output, as Caffe's reference."""
    trunk = alexnet(["fc7"], style="released").eval()
    trunk.conv1.padding = (0, 0)

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.fc8 = trunk, nn.Conv2d(4096, 1000, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.fc8(self.trunk(images)[0])

    return Classifier()


def crops(image: Tensor) -> Tensor:
    """Return the crops of a 10 x 10 grid: (100, 3, 227, 227)."""
    starts = [round(i * (SIDE - CROP) / (GRID - 1)) for i in range(GRID)]
    return torch.cat([image[..., y : y + CROP, x : x + CROP] for y in starts for x in starts])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=20, help="crops of a batch")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    torch.manual_seed(0)
    network = classifier()
    image = torch.randn(1, 3, SIDE, SIDE)
    patches = crops(image)
    with torch.no_grad():
        cells = network(image).shape[2:]
        assert network(patches[:1]).shape[2:] == (1, 1)
    print(f"{SIDE} x {SIDE}: {cells[0]} x {cells[1]} outputs in one pass; {len(patches)} crops")

    def forward(batches: list[Tensor]) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                for batch in batches:
                    network(batch)

        return run

    def both(batches: list[Tensor]) -> Callable[[], None]:
        def run() -> None:
            for batch in batches:
                network(batch).sum().backward()
            network.zero_grad()

        return run

    ways = {
        "one pass": [image],
        f"crops, batches of {options.batch}": list(patches.split(options.batch)),
        "crops, one by one": list(patches.split(1)),
    }
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for direction, make in {"forward": forward, "forward and backward": both}.items():
        timings = interleaved({name: make(b) for name, b in ways.items()}, options.rounds)
        figures[direction] = report(direction, timings)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


def report(direction: str, timings: dict[str, Timing]) -> dict[str, dict[str, float]]:
    """Print and return seconds and ratios to the one pass."""
    figures = {}
    for name, timing in timings.items():
        middle, least, most = timings["one pass"].ratio(timing)
        print(
            f"{direction:22s} {name:24s} {timing.median:8.3f} s   "
            f"{middle:6.1f} x ({least:.1f} to {most:.1f})"
        )
        figures[name] = {"seconds": timing.median, "ratio": middle, "least": least, "most": most}
    return figures


if __name__ == "__main__":
    main()
