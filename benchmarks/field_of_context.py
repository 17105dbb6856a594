"""ParseNet's finding on one's own runs: the field that works is a fraction of the theoretical one.

Liu et al. 2015, section 3.1: the theoretical field of a deep layer covers the image, the empirical
one about a quarter of it; a context module makes every place see all of it. Prints a Markdown
table of several runs, the same scenes and place for all.

    python benchmarks/field_of_context.py RUN... --layers scores backbone --images 8
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from lookwider.data import open_dataset
from lookwider.inference.device import choose_device
from lookwider.inference.progress import ImageProgress
from lookwider.probes.fields import (
    AverageField,
    average_fields,
    empirical_field,
    gradient_field,
    theoretical_field,
)
from lookwider.probes.network import Network
from lookwider.probes.opening import open_network

Row = dict[str, object]

FAINT = 0.01
"""Of the largest discrepancy: context reaches far, but each part of the image adds little."""


def last_of_trunk(network: Network, size: tuple[int, int]) -> str:
    """Return the trunk's last map, before any context."""
    names = [name for name in network.fields(size) if name.startswith("backbone")]
    return names[-1]


def shown(field: AverageField) -> list[str]:
    """Return the cells of a method: side, share of the image, share of the theoretical field."""
    side, share, theory = field.side, field.share_of_image, field.share_of_theoretical
    return [
        f"{side.mean:.0f} ± {side.deviation:.0f}",
        f"{100 * share.mean:.1f} ± {100 * share.deviation:.1f}",
        f"{100 * theory.mean:.1f} ± {100 * theory.deviation:.1f}",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data", default="scenes:size=96x128")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--layers", nargs="+", default=["backbone", "scores"])
    parser.add_argument("--window", type=int)
    parser.add_argument("--stride", type=int)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--threshold", type=float, default=0.1)
    parser.add_argument("--refine", action="store_true", help="faster; the last column is a bound")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="a folder for the mean maps, and figures.json")
    options = parser.parse_args()
    heads = ["side, px", "% of image", "% of theory"]
    columns = ["run", "layer", "theoretical, px", "% of image"]
    columns += [f"{method} {head}" for method in ("empirical", "gradient") for head in heads]
    columns += [f"% of image above {FAINT:g}, empirical"]
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    figures: list[Row] = []
    for run in options.runs:
        network = open_network(run, choose_device(options.device))
        data = open_dataset(options.data, options.split)
        samples = [data[index] for index in range(min(options.images, len(data)))]
        for wanted in options.layers:
            size = samples[0].image.shape[:2]
            layer = last_of_trunk(network, size) if wanted == "backbone" else wanted
            empirical, gradient, theory = [], [], None
            with ImageProgress(f"{run.name} {layer}", len(samples), Console(stderr=True)) as bar:
                for sample in samples:
                    height, width = sample.image.shape[:2]
                    at = (height // 2, width // 2)
                    theory = theoretical_field(network, layer, at, (height, width))
                    found = empirical_field(
                        network, sample.image, at, layer,
                        window=options.window, stride=options.stride, draws=options.draws,
                        threshold=options.threshold, batch_size=options.batch_size,
                        refine=options.refine,
                    )  # fmt: skip
                    empirical.append(found)
                    gradient.append(gradient_field(network, sample.image, at, layer))
                    bar.advance()
            means = [average_fields(empirical), average_fields(gradient)]
            assert theory is not None
            side = theory.extent[0]
            cells = ["/".join(run.parts[-2:]), theory.layer]
            cells += ["all" if side == float("inf") else f"{side:g}"]
            cells += [f"{100 * theory.share_of_image:.1f}"]
            for mean in means:
                cells += shown(mean)
            faint = [one.areas[FAINT] / one.values.size for one in empirical]
            cells += [f"{100 * sum(faint) / len(faint):.1f}"]
            print("| " + " | ".join(cells) + " |", flush=True)
            figures.append({"run": str(run), "fields": [mean.to_json() for mean in means]})
            if options.out:
                for mean in means:
                    stem = f"{'-'.join(run.parts[-2:])}-{theory.layer}-{mean.method}"
                    mean.save(options.out, stem)
    if options.out:
        (options.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
