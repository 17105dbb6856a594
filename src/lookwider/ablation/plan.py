"""From a table and shared settings to the runs that fill it: one per row and seed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lookwider.ablation.table import AblationTable, Row
from lookwider.backbones import stride_layers
from lookwider.data import open_dataset
from lookwider.errors import ConfigError
from lookwider.models import create_model
from lookwider.training.config import TrainConfig, differences
from lookwider.training.recipes import configure
from lookwider.training.run_folder import CONFIG, read_config

RECIPE = "fcn8s"
"""Its settings are the shared ones where the data are not the built-in scenes."""

SCENES: dict[str, Any] = {
    "scale": None,
    "colour": 0.0,
    "crop_size": None,
    "steps": 360,
    "batch_size": 8,
    "optimizer": "adamw",
    "base_lr": 0.002,
    "bias_lr_factor": 1.0,
    "weight_decay": 0.05,
    "warmup_steps": 20,
    "clip_grad": 5.0,
    "val_limit": 50,
    "val_batch_size": 10,
}
"""Shared settings on the built-in scenes: what learns most in a few hundred steps from random
weights, as in the demo."""

OWN_SETTINGS = {
    "seed": "seeds=N trains every row with the seeds 0 to N-1",
    "out": "give --out DIR",
    "resume": "a stopped table always goes on; for other settings choose another --out",
    "devices": "every run is on one device; --jobs N trains N rows at once",
}
"""Settings of a run that a table decides, and what to do instead."""

LARGEFOV_MAPS = ("conv3_3", "conv4_3", "conv5_3", "fc7")
"""ParseNet's local layers on its own trunk, by depth."""

MARKER = "ablation.json"
"""The file that tells a table's folder."""


@dataclass(frozen=True)
class Job:
    """One run: a row with a seed."""

    row: Row
    seed: int
    config: TrainConfig

    @property
    def name(self) -> str:
        """The row and the seed in words."""
        return f"{self.row.label}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """All that is to be trained and measured.

    Attributes:
        table: whose rows are trained.
        settings: shared by all rows, as they were given.
        split: to measure on.
        seeds: how many.
        out: the table's folder.
        jobs: every run, seed by seed, a row after the one that it starts from.
    """

    table: AblationTable
    settings: Mapping[str, Any]
    split: str
    seeds: int
    out: Path
    jobs: tuple[Job, ...]

    @property
    def data(self) -> str:
        """The data set."""
        return self.jobs[0].config.data

    @property
    def on_scenes(self) -> bool:
        """Whether the data are the built-in scenes, whose kinds of failure are known."""
        return is_scenes(self.data)


def is_scenes(data: str) -> bool:
    """Whether a data set's name is that of the built-in scenes.

    Example:
        >>> is_scenes("scenes:count=8"), is_scenes("photos")
        (True, False)
    """
    return data == "scenes" or data.startswith("scenes:")


def make_plan(
    table: AblationTable,
    settings: Mapping[str, Any],
    *,
    seeds: int = 3,
    split: str = "test",
    out: Path,
) -> Plan:
    """Return the runs of a table.

    Args:
        table: of a paper.
        settings: of the training, shared by all rows; values may be text.
        seeds: how many runs of each row.
        split: to measure on.
        out: folder of the table; each run is in a folder below it.

    Raises:
        ConfigError: a setting is unknown, does not fit, or is the table's own; there are fewer
            than one seed.
    """
    if seeds < 1:
        raise ConfigError(f"got seeds={seeds}, expected at least 1")
    for name in settings:
        if name in OWN_SETTINGS:
            raise ConfigError(f"{name}= is not for a table: {OWN_SETTINGS[name]}")
        if name in table.varied:
            raise ConfigError(
                f"{name}= is what the rows of {table.name} differ in; leave it out, or train a "
                f"single run with: lookwider train {RECIPE} {name}=..."
            )
    jobs = [
        Job(row, seed, _config(table, row, seed, settings, out))
        for seed in range(seeds)
        for row in table.rows
    ]
    return Plan(table, dict(settings), split, seeds, out, tuple(jobs))


def _config(
    table: AblationTable, row: Row, seed: int, settings: Mapping[str, Any], out: Path
) -> TrainConfig:
    """Return the settings of one run: the table's, then those given, then the row's."""
    shared: dict[str, Any] = {"backbone": "resnet18"}
    if is_scenes(str(settings.get("data", "scenes"))):
        shared |= SCENES
    if "epochs" in settings:
        shared.pop("steps", None)
    values = shared | dict(settings) | dict(row.settings)
    if row.maps is not None:
        values["layers"] = deepest_maps(values["backbone"], row.maps)
    if row.starts_from is not None:
        # absolute, for a folder named in another way is not another setting
        values["init_from"] = _run_folder(out.absolute(), table.row(row.starts_from), seed)
    values |= {"model": row.model, "seed": seed, "out": _run_folder(out, row, seed)}
    config = configure(RECIPE, values)
    base_lr = config.base_lr * row.lr_factor
    return config.model_copy(update={"recipe": f"ablation {table.name}", "base_lr": base_lr})


def _run_folder(out: Path, row: Row, seed: int) -> Path:
    return out / row.folder / f"seed{seed}"


def deepest_maps(backbone: str, count: int) -> tuple[str, ...]:
    """Return the names of a trunk's deepest maps, fine to coarse.

    Raises:
        ConfigError: the trunk is unknown or has fewer.

    Example:
        >>> deepest_maps("vgg16_largefov", 2)
        ('conv5_3', 'fc7')
    """
    known: tuple[str, ...] = LARGEFOV_MAPS
    if backbone != "vgg16_largefov":
        known = tuple(stride_layers(backbone).values())
    if len(known) < count:
        raise ConfigError(
            f"a row scores {count} maps of the trunk, and {backbone} has {len(known)}: "
            f"{', '.join(known)}; take backbone=resnet18 or vgg16_largefov"
        )
    return known[-count:]


def check_plan(plan: Plan) -> None:
    """Check what can be known to fail before the first run.

    Raises:
        ConfigError: the folder holds something else or runs with other settings, no row's model
            can be built, or the split to measure on has no labels.
        DataError: the data set cannot be opened.
    """
    check_folder(plan)
    first = plan.jobs[0].config
    test = open_dataset(first.data, plan.split, layout=first.layout)
    if len(test) == 0 or test[0].label is None:
        raise ConfigError(
            f"the split {plan.split!r} of {first.data} has no labels to measure on; "
            "give test_split=, e.g. test_split=val"
        )
    check_models(plan)


def check_models(plan: Plan) -> None:
    """Raise the first row's `ConfigError` where no row's model can be built.

    Where some can, the others fail in their turn.
    """
    errors = []
    for job in plan.jobs[: len(plan.table.rows)]:
        config = job.config
        try:
            with torch.device("meta"):
                create_model(config.model, backbone=config.backbone, **config.model_options)
        except ConfigError as error:
            errors.append(error)
        else:
            return
    raise errors[0]


def check_folder(plan: Plan) -> None:
    """Raise a `ConfigError` unless the folder is new or holds this table with these settings."""
    out = plan.out
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / MARKER).is_file()):
        raise ConfigError(f"{out}: is there already and holds no table; choose another --out")
    held = _table_in(out)
    if held not in (None, plan.table.name):
        raise ConfigError(f"{out}: holds the table {held!r}; choose another --out")
    for job in plan.jobs:
        if not (job.config.out / CONFIG).is_file():
            continue
        changed = differences(read_config(job.config.out), job.config)
        if changed:
            listed = ", ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
            raise ConfigError(
                f"{job.config.out}: was trained with other settings ({listed}); choose another "
                "--out, or give the settings that it was begun with"
            )


def _table_in(out: Path) -> str | None:
    """Return the name of the table that a folder holds; None where there is none yet."""
    path = out / MARKER
    if not path.is_file():
        return None
    try:
        name: str = json.loads(path.read_text(encoding="utf-8"))["table"]["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error!r}); remove it, it is written anew"
        ) from error
    return name
