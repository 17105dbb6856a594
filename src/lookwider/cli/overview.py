"""``lookwider`` alone: the verbs in the order of use, and the next step in this folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.table import Table
from rich.text import Text

from lookwider.cli.console import out
from lookwider.cli.verbs import STAGES

CHECKPOINT = "lookwider.json"
"""As in `lookwider.weights`, which takes seconds to import."""

IMAGES = frozenset({"images", "image", "imgs", "img", "jpegimages", "leftimg8bit"})
LABELS = frozenset(
    {"labels", "masks", "mask", "annotations", "annotation", "segmentationclass", "gtfine", "gt"}
)
"""Names that the folders of a data set usually have."""

SPLITS = ("train", "training", "val", "test")

MOST_FOLDERS = 200
"""Folders that are looked into: the command answers at once in any folder."""


def show_overview(folder: Path | None = None) -> None:
    """Print the verbs by stage, and what to do next in a folder, the current one by default."""
    from lookwider import __doc__ as what
    from lookwider import __version__

    out.print(Text.assemble(("lookwider", "bold"), f" {__version__}: {str(what).strip()}\n"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column()
    for stage, verbs in STAGES.items():
        for position, (name, verb) in enumerate(verbs.items()):
            table.add_row("" if position else stage, name, verb.line)
    out.print(table)
    out.print("\nA verb's options: lookwider VERB --help", markup=False)
    why, command = next_step(Path() if folder is None else folder)
    out.print(Text.assemble(f"{why}\nnext: ", (command, "bold")))


def next_step(folder: Path) -> tuple[str, str]:
    """Return what lies in a folder, in words, and the command that is useful now.

    Only names are looked at; no file is opened but the short ones that lookwider wrote.
    """
    runs = sorted(runs_below(folder), key=_written, reverse=True)
    if runs:
        return _after_training(runs)
    checked = _content(folder / "data-check" / "report.json")
    if checked.get("class_file") is not None and isinstance(path := checked.get("path"), str):
        words = ["lookwider", "train", "fcn8s", f"data={path}", "out=runs/first"]
        return f"{path} is checked.", shlex.join(words)
    data = next((each for each in (folder, *_subfolders(folder)) if holds_data(each)), None)
    if data is not None:
        return (
            f"Images and labels lie in {_shown(data)}.",
            shlex.join(["lookwider", "data", "check", _shown(data)]),
        )
    return "Nothing to work on in this folder yet.", "lookwider demo"


def _after_training(runs: list[Path]) -> tuple[str, str]:
    newest = runs[0]
    run = _shown(newest)
    found = f"{len(runs)} runs lie here, the newest is {run}." if runs[1:] else f"{run} is a run."
    if not (newest / "evaluation").is_dir():
        data = _content(newest / "config.json").get("data")
        told = f"data={data}" if isinstance(data, str) else "data=PATH"
        return f"{found} It is not evaluated.", shlex.join(["lookwider", "evaluate", run, told])
    return f"{found} It is evaluated.", f"lookwider predict {shlex.quote(run)} FOLDER --out DIR"


def runs_below(folder: Path) -> Iterator[Path]:
    """Yield the runs and checkpoints in a folder, in ``runs/`` and in the demo's runs."""
    places = (folder, folder / "runs", folder / "demo" / "runs")
    yield from (run for run in (folder, *_below(places)) if is_run(run))


def is_run(folder: Path) -> bool:
    """Whether a folder is a checkpoint, or a run that holds one."""
    return any(
        (place / CHECKPOINT).is_file() for place in (folder, folder / "best", folder / "last")
    )


def holds_data(folder: Path) -> bool:
    """Whether a folder seems to hold images and labels, by the names in it."""
    names = {path.name.lower() for path in _subfolders(folder)}
    if names & IMAGES and names & LABELS:
        return True
    return any(
        (inside := {path.name.lower() for path in _subfolders(folder / split)}) & IMAGES
        and inside & LABELS
        for split in SPLITS
    )


def _below(places: Iterable[Path]) -> list[Path]:
    return [path for place in places for path in _subfolders(place)]


def _subfolders(folder: Path) -> list[Path]:
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        return [path for path in inside[:MOST_FOLDERS] if path.is_dir()]
    except OSError:
        return []  # not there, or not ours to look into


def _content(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _written(run: Path) -> float:
    files = [place / CHECKPOINT for place in (run, run / "best", run / "last")]
    return max(file.stat().st_mtime for file in files if file.is_file())


def _shown(path: Path) -> str:
    return path.as_posix()
