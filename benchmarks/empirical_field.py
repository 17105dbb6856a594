"""Empirical fields against the plain loop: one window at a time, all of them, the whole image.

The plain loop is what papers' code does: for every window and every draw of noise a pass over the
whole image. `empirical_field` makes batches, runs only the part of the image that the field needs,
leaves out windows that do not touch it, and measures closely only near the region's border.

    python benchmarks/empirical_field.py --rounds 2
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.probes.fields.plain_occlusion import plain_occlusion

from lookwider.data.scenes import scene
from lookwider.models import create_model
from lookwider.probes.fields import empirical_field
from lookwider.probes.network import Network
from timing import interleaved

SIZE, PLACE = (144, 192), (72, 96)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--window", type=int, default=8)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    torch.manual_seed(0)
    network = Network(create_model("fcn32s", backbone="resnet18").eval())
    image = scene(0, 3, SIZE).image
    given = {"window": options.window, "stride": options.stride, "draws": 1}
    figures = {}
    for layer in ("layer1", "layer2", "layer4"):
        name = network.layer(layer, SIZE)
        every = empirical_field(network, image, PLACE, name, refine=False, **given)
        quick = empirical_field(network, image, PLACE, name, **given)
        _, least = plain_occlusion(network, image, every.theoretical.cell, name, **given)
        least *= every.theoretical.mask()
        error = float(np.abs(every.values - least).max() / least.max())
        timings = interleaved(
            {
                "quick": lambda name=name: empirical_field(network, image, PLACE, name, **given),
                "every window": lambda name=name: empirical_field(
                    network, image, PLACE, name, refine=False, **given
                ),
                "plain": lambda name=name, cell=every.theoretical.cell: plain_occlusion(
                    network, image, cell, name, **given
                ),
            },
            options.rounds,
            warmup=0,
        )
        middle, least_ratio, most = timings["quick"].ratio(timings["plain"])
        batched = timings["every window"].ratio(timings["plain"])[0]
        print(
            f"{layer}: plain {timings['plain'].median:6.2f} s, every window {batched:5.1f} x, "
            f"coarse to fine {middle:5.1f} x ({least_ratio:.1f} to {most:.1f}); area "
            f"{every.area} and {quick.area} pixels; largest difference from plain {error:.1e}"
        )
        figures[layer] = {
            "plain_seconds": timings["plain"].median,
            "every_window_ratio": batched,
            "coarse_to_fine_ratio": middle,
            "areas": [every.area, quick.area],
            "difference": error,
        }
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
