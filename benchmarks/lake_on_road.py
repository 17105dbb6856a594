"""Put a lake's context on a road, and a road's on a lake, in the built-in test scenes.

``python benchmarks/lake_on_road.py RUN... [--scenes 50] [--size 96x128]`` prints a Markdown
table: of the true car pixels that a run gets right, how many stay cars and how many become boats
when the image's context is replaced by that of the same scene painted as a lake; and the other
way round. Blobs, mist and light of both paintings are the same to the last bit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import lookwider as lw
from lookwider.cli.demo import parse_size
from lookwider.data.scenes import SCENE_CLASSES, SceneDataset, scene
from lookwider.probes.network import Network
from lookwider.probes.swap import OtherImage, swap_context

PAIRS = (("road", "lake", "car", "boat"), ("lake", "road", "boat", "car"))
SKYLINES = (
    ("street", "skyline", "house", "skyscraper"),
    ("skyline", "street", "skyscraper", "house"),
)


def pixels_of(network: Network, pair: tuple[str, str, str, str], data: SceneDataset) -> list[int]:
    """Return the true pixels of the class, those that are right, and those that then turn."""
    kind, other_kind, before, after = pair
    own, twin = SCENE_CLASSES.names.index(before), SCENE_CLASSES.names.index(after)
    totals = [0, 0, 0, 0]
    for index in range(len(data)):
        shown = scene(data.seed, index, data.size, kind=kind)
        other = scene(data.seed, index, data.size, kind=other_kind)
        swap = swap_context(network, shown.image, OtherImage(other.image))
        right = (shown.label == own) & (swap.before == own)
        found = (
            shown.label == own,
            right,
            right & (swap.after == twin),
            right & (swap.after == own),
        )
        totals = [total + int(mask.sum()) for total, mask in zip(totals, found, strict=True)]
    return totals


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--scenes", type=int, default=50)
    parser.add_argument("--size", default="96x128")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = SceneDataset.split("test", count=arguments.scenes, size=parse_size(arguments.size))
    print("| run | picture | context | true pixels | right | of these become | stay |")
    print("|---|---|---|---|---|---|---|")
    for run in arguments.runs:
        network = Network(lw.load(run, device=device))
        for pair in (*PAIRS, *SKYLINES):
            pixels, right, turned, stayed = pixels_of(network, pair, data)
            of = max(right, 1)
            print(
                f"| {run} | {pair[0]} | {pair[1]} | {pixels:,} {pair[2]} | {right:,} | "
                f"{pair[3]}: {turned:,} ({100 * turned / of:.1f} %) | {100 * stayed / of:.1f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
