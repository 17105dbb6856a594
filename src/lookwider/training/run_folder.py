"""Whether a run begins, continues, or must not touch the folder it was given."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from lookwider.errors import ConfigError
from lookwider.images import write_bytes
from lookwider.training.checkpointing import STATE, SavedState, find_saved_state
from lookwider.training.config import TrainConfig, check_config, differences

CONFIG = "config.json"


def prepare_folder(config: TrainConfig, console: Console) -> SavedState | None:
    """Make the run's folder with its config, or find the state to continue from.

    A run that ended before its first step, for a setting that does not fit the data, has left
    nothing but its config: it is begun again with any settings.

    Raises:
        ConfigError: the folder holds something else, or a run with other settings.
    """
    run, path = config.out, config.out / CONFIG
    if not path.is_file():
        if run.exists() and (not run.is_dir() or any(run.iterdir())):
            raise ConfigError(f"{run}: holds no {CONFIG} but is not empty; choose another out=")
        _write_config(config)
        return None
    begun = any(each.name != CONFIG for each in run.iterdir())
    if begun and config.resume is False:
        raise ConfigError(f"{run}: holds a run already and resume=false; choose another out=")
    changed = differences(read_config(run), config)
    if begun and changed and config.resume is None:
        listed = ", ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
        raise ConfigError(
            f"{run}: holds a run with other settings ({listed}); choose another out=, or "
            "resume=true to continue it with the new ones"
        )
    _write_config(config)
    saved = find_saved_state(run)
    if saved is None:
        console.print(f"{run}: nothing was saved yet, beginning at step 0")
        return None
    for reason in saved.refused:
        console.print(f"skipped a damaged state: {reason}")
    console.print(f"continuing {run} from step {saved.step} ({saved.folder.name}/)")
    return saved


def check_shared(config: TrainConfig, saved: SavedState | None) -> None:
    """Check that a folder that the main process has prepared is here too; nothing is changed.

    Args:
        config: of the run.
        saved: the state that the main process continues from.

    Raises:
        ConfigError: it is not here: it is on a disk of another machine.
    """
    expected = config.out / CONFIG if saved is None else saved.folder / STATE
    if not expected.is_file():
        raise ConfigError(
            f"{expected}: the main process has it, but it is not here; "
            "choose an out= on a disk that all machines share"
        )


def read_config(run: Path) -> TrainConfig:
    """Return the config that a run was made with.

    Raises:
        ConfigError: it is not JSON or does not fit this lookwider.
    """
    path = run / CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: got a {type(values).__name__}, expected an object")
    return check_config(values)


def _write_config(config: TrainConfig) -> None:
    text = config.model_dump_json(indent=1, exclude={"resume"})
    write_bytes(config.out / CONFIG, (text + "\n").encode())
