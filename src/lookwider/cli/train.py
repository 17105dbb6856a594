"""``lookwider train``: train a recipe with settings changed by key=value."""

from __future__ import annotations

import dataclasses
import json
import shlex
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lookwider.cli.completion import complete_recipe, complete_training
from lookwider.cli.console import messages, out
from lookwider.cli.settings import parse_settings

if TYPE_CHECKING:
    from lookwider.training.config import TrainConfig
    from lookwider.training.run import TrainResult


def train(recipe: str, settings: list[str], *, as_json: bool = False) -> int:
    """Train a recipe and print where the run is and what to do next.

    Args:
        recipe: name of a recipe.
        settings: ``key=value`` each.
        as_json: print JSON.

    Returns:
        the exit code: 0, or 128 + the signal that stopped the run after saving.

    Raises:
        LookwiderError: the settings are wrong, or training failed.
    """
    # the engine takes seconds to import, and other commands do not need it
    from lookwider.training.distributed import launcher
    from lookwider.training.hardware import is_main_process
    from lookwider.training.recipes import configure

    values = parse_settings(settings)
    config = configure(recipe, values)
    command = ["lookwider", "train", recipe, *settings]
    if config.devices > 1 and launcher() is None:
        from lookwider.training.launching import start_processes

        return start_processes(config.devices, [*command, *(["--json"] if as_json else [])])
    if "data" not in values and is_main_process():
        messages.print("no data= given: training on the built-in scenes")
    return run(config, command, as_json=as_json)


def run(config: TrainConfig, command: list[str], *, as_json: bool = False) -> int:
    """Train a config; see `train`.

    Args:
        config: of the run.
        command: the words that continue it, to be shown when it is stopped.
        as_json: print JSON.
    """
    from lookwider.training.collectives import MainFailedError
    from lookwider.training.hardware import is_main_process
    from lookwider.training.run import train as run_training
    from lookwider.training.stopping import StoppedError
    from lookwider.training.task import NonFiniteError

    try:
        result = run_training(config, messages)
    except MainFailedError:
        return 2  # the main process says why
    except (StoppedError, NonFiniteError) as ended:
        if not is_main_process():
            return 0  # all processes end for the same reason, and one of them says it
        if isinstance(ended, NonFiniteError):
            raise
        messages.print(
            f"{ended}; the state is in {config.out}. Continue with:\n  {shlex.join(command)}"
        )
        return 128 + ended.signal
    if is_main_process():
        if as_json:
            content = dataclasses.asdict(result) | {"run": str(result.run)}
            out.print(json.dumps(content), markup=False)
        else:
            _report(config, result)
    return 0


def _report(config: TrainConfig, result: TrainResult) -> None:
    from lookwider.training.progress import duration
    from lookwider.training.throughput import loading_advice

    memory = ", ".join(f"{size:.1f} GiB {kind}" for kind, size in result.memory.items())
    messages.print(f"{result.steps} steps, {duration(result.seconds)}, at most {memory}")
    if result.seconds:  # not of a run that was finished already
        messages.print(loading_advice(result.data_wait, config.workers))
    if result.best_mean_iou is not None:
        out.print(
            f"best mean IoU on {config.val_split}: {result.best_mean_iou:.4f} "
            f"(step {result.best_step})"
        )
    out.print(f"run: {result.run}")
    command = ["lookwider", "evaluate", str(result.run), f"data={config.data}", "split=test"]
    out.print(f"next: {shlex.join(command)}")


def print_recipes(*, as_json: bool = False) -> None:
    """Print the recipes, what each is, and the settings that can be changed."""
    from lookwider.training.config import TrainConfig
    from lookwider.training.recipes import RECIPES, configure

    known = {name: (each.__doc__ or "").strip().splitlines()[0] for name, each in RECIPES.items()}
    defaults = configure("fcn8s").model_dump(mode="json")
    meanings = {
        name: field.description or ""
        for name, field in TrainConfig.model_fields.items()
        if name not in {"recipe", "model_options"}
    }
    if as_json:
        told = {name: {"default": defaults[name], "meaning": m} for name, m in meanings.items()}
        out.print(json.dumps({"recipes": known, "settings": told}), markup=False)
        return
    recipes = Table("recipe", "what it is", box=None, pad_edge=False)
    for name, what in known.items():
        recipes.add_row(name, what)
    out.print(recipes)
    settings = Table("setting", "default", "meaning", box=None, pad_edge=False)
    for name, meaning in meanings.items():
        settings.add_row(name, _shown(defaults[name]), meaning)
    out.print("\nsettings, with the values of fcn8s:")
    out.print(settings)
    out.print("\nnext: lookwider train fcn8s data=PATH steps=4000 out=runs/a")


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value).lower()


def train_command(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe: fcn8s, ...; see --list.",
            autocompletion=complete_recipe,
            show_default=False,
        ),
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            help="data=PATH backbone=vgg16 steps=4000 out=runs/a ...",
            autocompletion=complete_training,
            show_default=False,
        ),
    ] = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="List the recipes and settings.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Train a recipe; stop with Ctrl-C and go on with the same command.

    Example: lookwider train fcn8s data=PATH backbone=vgg16 steps=4000 out=runs/a
    """
    if show_list or not recipe:
        print_recipes(as_json=as_json)
        return
    raise typer.Exit(train(recipe, settings or [], as_json=as_json))
