"""What the shell's Tab key offers: runs, recipes, settings. Nothing slow is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import typer

from lookwider.cli.overview import is_run, runs_below

RECIPES = (
    *("fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce", "parsenet", "pspnet"),
    *("fcn32s_paper", "fcn16s_paper", "fcn8s_paper", "fcn8s_atonce_paper", "fcn32s_alexnet_paper"),
    *("parsenet_paper", "pspnet_ade20k_paper", "pspnet_voc_paper", "pspnet_cityscapes_paper"),
)
"""As in `lookwider.training.recipes`, which takes seconds to import."""

SETTINGS = (
    *("data=scenes", "steps=4000", "batch_size=4", "crop_size=256,256", "base_lr=0.001"),
    *("optimizer=adamw", "backbone=resnet18", "backbone=resnet50", "backbone=vgg16"),
    *("backbone=alexnet", "backbone=googlenet", "backbone=resnet50_psp", "pretrained=true"),
    *("class_weights=median_frequency", "precision=bf16-mixed", "val_every=500", "workers=2"),
    *("seed=0", "resume=true", "init_from=runs/a", "out=runs/first"),
)
"""Settings of a training with a usual value, to be edited."""

DATA_SETTINGS = ("data=scenes", "split=test", "split=val", "batch_size=8", "limit=20")
"""The same of what reads labelled images."""


def complete_run(incomplete: str) -> list[tuple[str, str]]:
    """Return the runs that a word may mean: near the current folder, or in the folder it names."""
    named = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    near = {path.as_posix() for path in (*runs_below(Path()), *_inside(named))}
    return [(run, "a run") for run in sorted(near) if run != "." and run.startswith(incomplete)]


def complete_recipe(incomplete: str) -> list[str]:
    """Return the recipes that begin so."""
    return [name for name in RECIPES if name.startswith(incomplete)]


def complete_training(context: typer.Context, incomplete: str) -> list[str]:
    """Return the settings of a training that begin so."""
    return list(_settings(SETTINGS, context.params.get("settings"), incomplete))


def complete_data(context: typer.Context, incomplete: str) -> list[str]:
    """Return the settings of labelled images that begin so."""
    return list(_settings(DATA_SETTINGS, context.params.get("settings"), incomplete))


def complete_runs_and_data(context: typer.Context, incomplete: str) -> list[str]:
    """Return the runs and settings that begin so, where a command takes both."""
    runs = [run for run, _ in complete_run(incomplete)]
    return [*runs, *_settings(DATA_SETTINGS, context.params.get("words"), incomplete)]


def _settings(known: Iterable[str], before: Iterable[str] | None, incomplete: str) -> Iterator[str]:
    """Yield the settings that begin so; bash gives the words around "=" one by one."""
    words = [word for word in before or () if word != "="]
    split_by_bash = bool(words) and words[-1] in {word.partition("=")[0] for word in known}
    start = f"{words[-1]}={incomplete}" if split_by_bash else incomplete
    for word in known:
        if word.startswith(start):
            yield word.partition("=")[2] if split_by_bash else word


def _inside(folder: Path) -> list[Path]:
    try:
        return [path for path in sorted(folder.iterdir()) if is_run(path)]
    except OSError:
        return []
