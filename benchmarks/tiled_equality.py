"""Tiles against one pass over the whole image: three systems, five trunks, awkward sizes.

Ten sizes are long and thin; in the eleventh there are tiles that touch no border of the image.

The weights are random, so that no value is small by training. A difference is relative to the
largest score of the image; a label counts as another one where it is not a tie within that
difference.

    python benchmarks/tiled_equality.py --out results/tiled_equality.json
    python benchmarks/tiled_equality.py --only pspnet --dtype float64
    python benchmarks/tiled_equality.py --only pspnet --trunks resnet18 --compiled
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from lookwider import Segmenter, create_model
from lookwider.inference.tiles import Tile, TilePlan, tiled_scores

SYSTEMS = ("fcn", "parsenet", "pspnet")

TRUNKS = {
    "vgg16_largefov": 8,
    "resnet18": 8,
    "mobilenetv2_050": 16,
    "regnetx_002": 32,
    "tf_mobilenetv3_small_minimal_100": 32,
}
"""Name -> output stride; the last pads as TensorFlow does, by the size of the image."""

SIZES = (
    *((33, 701), (1, 997), (64, 768), (65, 833), (47, 910)),
    *((801, 17), (769, 40), (1000, 3), (703, 66), (651, 31)),
    (1075, 1063),
)
TILES = (*((64, 96), (50, 133), (1000, 200), (111, 32)) * 2, (64, 96), (50, 133), (352, 352))
"""The last size and tile: of some windows all four sides are within the image."""

TIE = 1e-4
"""Of the largest score: labels whose scores are nearer than this may differ."""


@dataclass(frozen=True)
class Row:
    """One network, over all sizes.

    Attributes:
        system: its name.
        trunk: its name.
        worst: largest relative difference of a score.
        labels: pixels whose labels differ without a tie.
        pixels: compared.
        tiles: compared.
        interior: of these, with windows that touch no border of the image.
        smallest: smallest share of an image that its largest window is.
        halo: pixels that are needed beyond a tile.
        seconds: of all.
    """

    system: str
    trunk: str
    worst: float
    labels: int
    pixels: int
    tiles: int
    interior: int
    smallest: float
    halo: int
    seconds: float


def network(system: str, trunk: str, dtype: torch.dtype) -> Segmenter:
    """Return a network with noise for weights that start at zero or one."""
    torch.manual_seed(0)
    options: dict[str, object] = {"output_stride": TRUNKS[trunk]}
    if system == "fcn":
        options = {"finest_stride": 8}
    if system == "pspnet":
        options |= {"aux": False}
    model = create_model(system, backbone=trunk, num_classes=5, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() < 2 or not parameter.any():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.to(dtype)


@torch.inference_mode()
def compare(system: str, trunk: str, dtype: torch.dtype, compiled: bool) -> Row:
    """Return the worst of all sizes."""
    start = time.perf_counter()
    model = network(system, trunk, dtype)
    model = model.compile_for_inference() if compiled else model
    worst, labels, pixels, tiles, inner, smallest, halo = 0.0, 0, 0, 0, 0, 1.0, 0
    for size, side in zip(SIZES, TILES, strict=True):
        image = torch.randn(1, 3, *size).to(dtype)
        plan = TilePlan.for_model(model, size, tile=side)
        assert plan.exact
        wanted = model(image)
        largest = wanted.abs().max()
        for tile, scores in tiled_scores(model, image, plan):
            whole = wanted[..., *tile.core]
            worst = max(worst, float((scores.logits() - whole).abs().max() / largest))
            labels += _other_labels(scores.labels(torch.int64), whole, largest)
        area = plan.largest_window[0] * plan.largest_window[1] / (size[0] * size[1])
        smallest, halo = min(smallest, area), max(halo, plan.halo_needed)
        pixels, tiles = pixels + size[0] * size[1], tiles + len(plan.tiles)
        inner += sum(_is_interior(tile, size) for tile in plan.tiles)
    seconds = time.perf_counter() - start
    return Row(system, trunk, worst, labels, pixels, tiles, inner, smallest, halo, seconds)


def _is_interior(tile: Tile, size: tuple[int, int]) -> bool:
    sides = zip(tile.window, size, strict=True)
    return all(window.start > 0 and window.stop < length for window, length in sides)


def _other_labels(found: Tensor, wanted: Tensor, largest: Tensor) -> int:
    """Count pixels whose label differs although one class is clearly ahead."""
    best = wanted.amax(1)
    chosen = wanted.gather(1, found[:, None])[:, 0]
    return int((best - chosen > TIE * largest).sum())


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--trunks", nargs="+", choices=list(TRUNKS), default=list(TRUNKS))
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--compiled", action="store_true", help="both with the inference engine")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    print(f"{'system':9} {'trunk':34} {'worst':>8} labels  tiles  inner  window  halo  seconds")
    for system in options.only:
        for trunk in options.trunks:
            row = compare(system, trunk, getattr(torch, options.dtype), options.compiled)
            rows.append(row)
            print(
                f"{system:9} {trunk:34} {row.worst:8.1e} {row.labels:6} {row.tiles:6} "
                f"{row.interior:6} {row.smallest:7.0%} {row.halo:5} {row.seconds:8.1f}",
                flush=True,
            )
    print(f"worst of all: {max(row.worst for row in rows):.1e}")
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
