"""Train the systems one after the other, measure and probe them, and write the report."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lookwider.data import SceneDataset, open_dataset
from lookwider.demo.exhibits import swap_scene, write_scenes
from lookwider.demo.page import demo_page
from lookwider.demo.systems import RUNS, SIZE, STEPS, SYSTEMS, check_systems, demo_config
from lookwider.errors import ConfigError
from lookwider.images import write_bytes
from lookwider.inference.device import choose_device
from lookwider.report.collect import Collecting
from lookwider.report.failures import FailureScore, failure_scores
from lookwider.report.run_report import RunReport
from lookwider.report.together import collect_runs, own_relations
from lookwider.training.config import TrainConfig, differences
from lookwider.training.run import TrainResult, train
from lookwider.training.run_folder import CONFIG, read_config

EVALUATION = "evaluation"
"""Folder of the measurements within a run's."""

SCENES, PREDICTIONS, SWAP = "scenes", "predictions", "context-swap"
"""Folders of a demo, beside that of the runs."""

REPORT, TABLE = "report.html", "table.csv"

SPLIT = "test"
"""What is measured."""


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What a demo leaves.

    Attributes:
        folder: that holds everything.
        report: the page.
        runs: what is known of each system's run, in the order of `SYSTEMS`.
        failures: each run's pixels by kind of failure.
        files: what there is to look at, by what it is.
        trainings: what each training ended with; 0 seconds where it was finished before.
        seconds: of the whole demo.
    """

    folder: Path
    report: Path
    runs: tuple[RunReport, ...]
    failures: tuple[tuple[FailureScore, ...], ...]
    files: dict[str, Path]
    trainings: tuple[TrainResult, ...]
    seconds: float


def run_demo(
    out: Path,
    *,
    systems: Sequence[str] = tuple(SYSTEMS),
    steps: int = STEPS,
    seed: int = 0,
    size: tuple[int, int] = SIZE,
    how: Collecting | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Train, measure, probe and write the report, or go on where the same demo was stopped.

    Finished trainings are kept; what follows them takes a minute and is made anew.

    Args:
        out: a new folder, or that of an earlier demo with the same settings.
        systems: names of `SYSTEMS`; systems can be added later.
        steps: of each training.
        seed: of the scenes and the trainings.
        size: (height, width) of the scenes.
        how: the runs are measured and probed; on the best device, 10 images at once, when None.
        console: for progress and messages; standard error when not given.

    Raises:
        ConfigError: the folder holds something else, or a demo with other settings.
        StoppedError: Ctrl-C came while training; the state was saved.
    """
    console = console or Console(stderr=True)
    started = time.monotonic()
    chosen = check_systems(systems)
    configs = [demo_config(out, name, steps=steps, seed=seed, size=size) for name in chosen]
    check_folder(out, configs)
    stages = len(configs) + 2
    trainings = []
    for number, config in enumerate(configs, start=1):
        name = SYSTEMS[config.model]
        console.print(f"{number}/{stages} training {name}; Ctrl-C stops, a rerun goes on")
        trainings.append(train(config, console))
    console.print(f"{stages - 1}/{stages} measuring and probing on the test split")
    test = open_dataset(configs[0].data, SPLIT)
    assert isinstance(test, SceneDataset)
    runs = measure(configs, test, how, console)
    console.print(f"{stages}/{stages} writing pictures and the report")
    failures = tuple(failure_scores(run.evaluation.scores.counts) for run in runs)
    files = _write(out, runs, test, failures)
    seconds = time.monotonic() - started
    return DemoResult(out, out / REPORT, runs, failures, files, tuple(trainings), seconds)


def measure(
    configs: Sequence[TrainConfig], test: SceneDataset, how: Collecting | None, console: Console
) -> tuple[RunReport, ...]:
    """Measure and probe the runs as ``lookwider report`` does."""
    folders = [config.out for config in configs]
    return collect_runs(
        folders,
        test,
        names=[SYSTEMS[config.model] for config in configs],
        relations=own_relations(folders, test, console=console),
        how=how or Collecting(batch_size=configs[0].val_batch_size, device=choose_device()),
        protocol={"data": configs[0].data, "split": SPLIT},
        console=console,
    )


def check_folder(out: Path, configs: Sequence[TrainConfig]) -> None:
    """Raise a `ConfigError` unless the folder is new or holds a demo with these settings."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not holds_demo(out))):
        raise ConfigError(f"{out}: is there already and holds no demo; choose another --out")
    for config in configs:
        if not (config.out / CONFIG).is_file():
            continue
        changed = differences(read_config(config.out), config)
        if changed:
            listed = ", ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
            raise ConfigError(
                f"{out}: holds a demo with other settings ({listed}); choose another --out, or "
                "remove that folder"
            )


def holds_demo(out: Path) -> bool:
    """Whether a folder holds runs of the demo's systems and of nothing else."""
    runs = out / RUNS
    return runs.is_dir() and {path.name for path in runs.iterdir()} <= set(SYSTEMS)


def _write(
    out: Path,
    runs: Sequence[RunReport],
    test: SceneDataset,
    failures: Sequence[Sequence[FailureScore]],
) -> dict[str, Path]:
    """Write the table, the scenes, the swap and the page; return what there is to look at."""
    device = choose_device()
    shown = write_scenes(runs, test, out / SCENES, out / PREDICTIONS, device)
    swap = swap_scene(runs, test, device)
    write_bytes(out / TABLE, class_table(runs))
    for run in runs:
        run.evaluation.save(run.folder / EVALUATION / SPLIT)
    page = demo_page(runs, test, failures, shown, swap)
    write_bytes(out / REPORT, page.encode(errors="replace"))
    files = {"report": out / REPORT, "table": out / TABLE, "scenes": out / SCENES}
    files |= {"predictions": out / PREDICTIONS}
    if swap is not None:
        files |= {"context swap": swap.save(out / SWAP)[-1]}
    return files | {"runs": out / RUNS}


def class_table(runs: Sequence[RunReport]) -> bytes:
    """Return every class's IoU in each run as CSV, in shares of 1; empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "share_of_pixels", *(run.name for run in runs)])
    rows = [run.evaluation.to_json()["classes"] for run in runs]
    for name, first in rows[0].items():
        writer.writerow([name, first["share"], *(row[name]["iou"] for row in rows)])
    return text.getvalue().encode()
