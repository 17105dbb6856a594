"""Images larger than memory: memory and time by size, and the bytes after kills.

    python benchmarks/large_images.py --sizes 5000 10000 20000
    python benchmarks/large_images.py --system fcn8s --trunk vgg16 --memory 4GB
    python benchmarks/large_images.py --kills 50 --kill-size 600

The first two print a Markdown table of squares; with ``--kills 50`` a prediction is killed fifty
times at random instead, and every file compared with those of an undisturbed one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    out = folder / "killed"
    with begun(command(run, picture, out, "--tile", tile), out) as process:
        started = time.perf_counter()
        process.wait()
        seconds = time.perf_counter() - started
    expected = emptied(out)
    chance, finished = random.Random(0), 0
    tiles: list[int] = []
    while len(tiles) < kills:
        with begun(command(run, picture, out, "--tile", tile), out) as process:
            started = time.perf_counter()
            try:
                process.wait(chance.uniform(0, seconds))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                tiles.append(len(list(out.glob(".kills.tiles/*/0*"))))
                print(f"killed {len(tiles)} times", file=sys.stderr)
        if process.returncode not in {0, -signal.SIGKILL}:
            raise SystemExit(f"got exit code {process.returncode}, expected 0 or killed")
        if process.returncode == 0:
            finished += 1  # a machine that is less busy by now is quicker
            seconds = min(seconds, time.perf_counter() - started)
            check(emptied(out), expected)
    subprocess.run(command(run, picture, out, "--tile", tile), check=True, capture_output=True)
    check(emptied(out), expected)
    print(
        f"killed {len(tiles)} times, with {min(tiles)} to {max(tiles)} files of tiles there, in "
        f"{len(set(tiles))} different states, and finished {finished + 1} times: all files "
        "identical to the bit"
    )


@contextmanager
def begun(words: list[str], out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Begin a command, and wait until it works: a kill while Python starts would show nothing."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lock = out / ".kills.tiles.lock"
    mine = f"process {process.pid} on "
    while process.poll() is None and not (lock.exists() and mine in lock.read_text()):
        time.sleep(0.01)
    yield process


def emptied(folder: Path) -> dict[str, str]:
    """Return the hashes of a folder's files, which are removed."""
    found = {}
    for path in sorted(folder.iterdir()):
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        path.unlink()
    return found


def check(found: dict[str, str], expected: dict[str, str]) -> None:
    """Stop where the files are others."""
    if found != expected:
        raise SystemExit(f"got {found}, expected {expected}")


def main() -> None:
    """Measure what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", default="pspnet")
    parser.add_argument("--trunk", default="test_resnet")
    parser.add_argument("--sizes", nargs="+", type=int, default=[5000, 10_000, 20_000])
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--kill-size", type=int, default=1500)
    parser.add_argument("--tile", default="256", help="of the image that is killed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = checkpoint(folder, options.system, options.trunk)
        if options.kills:
            killed(folder, run, options.kill_size, options.kills, options.tile)
        else:
            scaling(folder, run, options.sizes, options.memory)


if __name__ == "__main__":
    main()
