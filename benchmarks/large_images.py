"""Images larger than memory: memory and time by size, and the bytes after kills.

``python benchmarks/large_images.py`` prints a Markdown table of squares of 5,000, 10,000 and
20,000; with ``--kills 50`` a prediction is killed fifty times at random instead.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch

from lookwider.classes import Classes
from lookwider.models import create_model
from lookwider.weights import save

PREDICT = """
import resource, sys
from lookwider.cli import app
app(standalone_mode=False)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, file=sys.stderr)
"""


def checkpoint(folder: Path, system: str, trunk: str) -> Path:
    """Write a network with the weights it starts from."""
    torch.manual_seed(0)
    options = {"zero_scores": False} if system.startswith("fcn") else {"output_stride": 32}
    model = create_model(system, backbone=trunk, classes=Classes.numbered(9), **options)
    return save(model.eval(), folder / "run" / "best").parent


def image(path: Path, side: int) -> Path:
    """Write an image of noise, tile by tile."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    blocks = (-(-side // 512)) ** 2
    tifffile.imwrite(
        path,
        (np.roll(noise, i, 1) for i in range(blocks)),
        shape=(side, side, 3),
        dtype=np.uint8,
        photometric="rgb",
        tile=(512, 512),
    )
    return path


def command(run: Path, picture: Path, out: Path, *options: str) -> list[str]:
    """Return the command that segments an image."""
    words = ["predict", str(run), str(picture), "--out", str(out), "--json", *options]
    return [sys.executable, "-c", PREDICT, *words]


def scaling(folder: Path, run: Path, sides: list[int], memory: str) -> None:
    """Print memory and time of squares."""
    print("| side | tiles | tile | passes | peak GB | seconds | CPU seconds | CPU µs a pixel |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for side in sides:
        picture = image(folder / f"{side}.tif", side)
        words = command(run, picture, folder / "out", "--max-memory", memory)
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        (large,) = json.loads(done.stdout)["tiled"]
        cpu, peak = map(float, done.stderr.split()[-2:])
        tiles = f"{large['tiles']} | {large['tile'][0]} | {large['passes']}"
        times = f"{large['seconds']:.0f} | {cpu:.1f} | {cpu / side**2 * 1e6:.2f}"
        print(f"| {side:,} | {tiles} | {peak / 1e9:.2f} | {times} |", flush=True)
        picture.unlink()


def killed(folder: Path, run: Path, side: int, kills: int, tile: str) -> None:
    """Kill a prediction at random moments until it has been killed so often; compare the bytes."""
    picture = image(folder / "kills.tif", side)
    started = time.perf_counter()
    whole = folder / "whole"
    subprocess.run(command(run, picture, whole, "--tile", tile), check=True, capture_output=True)
    seconds = time.perf_counter() - started
    expected = digests(whole)
    chance, done, finished = random.Random(0), 0, 0
    out = folder / "killed"
    while done < kills:
        process = subprocess.Popen(
            command(run, picture, out, "--tile", tile),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(chance.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            done += 1
        if process.returncode == 0:
            finished += 1
            check(out, expected)
            for path in out.iterdir():
                path.unlink()
    subprocess.run(command(run, picture, out, "--tile", tile), check=True, capture_output=True)
    check(out, expected)
    print(f"killed {done} times, finished {finished + 1} times: all files identical to the bit")


def digests(folder: Path) -> dict[str, str]:
    """Return the hashes of a folder's files."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def check(folder: Path, expected: dict[str, str]) -> None:
    """Stop where the files are others."""
    if (found := digests(folder)) != expected:
        raise SystemExit(f"got {found}, expected {expected}")


def main() -> None:
    """Measure what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", default="pspnet")
    parser.add_argument("--trunk", default="test_resnet")
    parser.add_argument("--sides", default="5000,10000,20000")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--kill-side", type=int, default=1500)
    parser.add_argument("--tile", default="256", help="of the image that is killed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = checkpoint(folder, options.system, options.trunk)
        if options.kills:
            killed(folder, run, options.kill_side, options.kills, options.tile)
        else:
            scaling(folder, run, [int(s) for s in options.sides.split(",")], options.memory)


if __name__ == "__main__":
    main()
