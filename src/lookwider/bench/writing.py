"""A measurement as files."""

from __future__ import annotations

import json
from pathlib import Path

from lookwider.bench.plot import plot
from lookwider.bench.result import BenchResult
from lookwider.images import write_bytes

NUMBERS, PICTURE = "bench.json", "bench.png"


def write_result(result: BenchResult, folder: Path) -> list[Path]:
    """Write the numbers and the picture of a measurement; return their paths."""
    text = json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n"
    contents = {NUMBERS: text.encode(), PICTURE: plot(result)}
    for name, content in contents.items():
        write_bytes(folder / name, content)
    return [folder / name for name in contents]
