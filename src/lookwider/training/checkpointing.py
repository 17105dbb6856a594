"""Writing and reading the state of a run: whole folders, two of them, and no pickle.

``last/`` is a checkpoint of the model with ``training.safetensors`` and ``training.json``
beside the weights; ``previous/`` is the ``last/`` before. A new state is written as ``.next/``
and takes its place by renaming, so that at every moment at least one complete state is there.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lookwider.errors import CheckpointError
from lookwider.models import Segmenter
from lookwider.training.state import pack, unpack
from lookwider.weights.checkpoint import save, verified_file
from lookwider.weights.description import WEIGHTS, describe
from lookwider.weights.safe_files import parse_json, sync

FORMAT = 1
TENSORS = "training.safetensors"
STATE = "training.json"
LAST, PREVIOUS, NEXT, BEST = "last", "previous", ".next", "best"
PREFIX = "model."
"""What the task puts before the names of the model's tensors."""


@dataclass(frozen=True)
class SaveOptions:
    """What a save is told beside the trainer's state.

    Attributes:
        training: also write what continuing needs; without it only the model.
        protocol: how the model was trained, for ``lookwider.json``.
        scores: what it reached, for ``lookwider.json``.
    """

    training: bool
    protocol: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)


class FolderCheckpoints(CheckpointIO):
    """Lightning's checkpoints as lookwider's folders.

    With averaged weights, the model's file holds the average, which is what is used later, and
    the training state holds the weights that training continues from.

    Args:
        model: being trained; says architecture, classes and preprocessing.
    """

    def __init__(self, model: Segmenter) -> None:
        self.model = model

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: SaveOptions | None = None,
    ) -> None:
        """Write the folder ``path`` atomically; see `SaveOptions`.

        Raises:
            CheckpointError: the disk is full or cannot be written; what was there before stays.
        """
        options = storage_options or SaveOptions(training=True)
        rest = dict(checkpoint)
        weights = {
            name.removeprefix(PREFIX): tensor for name, tensor in rest.pop("state_dict").items()
        }

        def extra(folder: Path) -> None:
            write_training_state(rest, folder)

        try:
            save(
                self.model,
                path,
                protocol=options.protocol,
                scores=options.scores,
                state=weights,
                extra=extra if options.training else None,
            )
        except (OSError, SafetensorError) as error:
            raise CheckpointError(_explain_write(error, Path(path))) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the folder ``path`` for Lightning, every file checked against its hash."""
        del map_location, weights_only
        return read_training_state(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint folder."""
        shutil.rmtree(path)


def write_training_state(state: Mapping[str, Any], folder: Path) -> None:
    """Write everything but the model's weights into a folder as JSON and safetensors."""
    packed, tensors = pack(state)
    save_file(tensors, folder / TENSORS)
    text = json.dumps({"format": FORMAT, "state": packed}, allow_nan=False)
    (folder / STATE).write_text(text + "\n", encoding="utf-8")


def read_training_state(folder: Path) -> dict[str, Any]:
    """Return the trainer's state of a folder that `FolderCheckpoints` wrote.

    Raises:
        CheckpointError: a file is missing, damaged, or of another format.
    """
    description = describe(folder)
    paths = {name: verified_file(folder, name, description) for name in (WEIGHTS, TENSORS, STATE)}
    content = parse_json(paths[STATE].read_bytes(), paths[STATE])
    if content.get("format") != FORMAT:
        raise CheckpointError(
            f"{paths[STATE]}: got format {content.get('format')!r}, expected {FORMAT}"
        )
    state = unpack(content["state"], _load(paths[TENSORS]))
    if not isinstance(state, dict):
        raise CheckpointError(f"{paths[STATE]}: its state is not a dictionary")
    # a finished run that is continued for more steps is not at its last batch any more
    state["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False
    state["state_dict"] = {PREFIX + name: t for name, t in _load(paths[WEIGHTS]).items()}
    return state


def _load(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from error
    return tensors


def rotate(run: Path) -> None:
    """Make ``.next`` the last state, and the last the previous one."""
    last, previous, following = run / LAST, run / PREVIOUS, run / NEXT
    old = run / f".{PREVIOUS}.old"
    shutil.rmtree(old, ignore_errors=True)
    if last.exists():
        if previous.exists():
            previous.replace(old)
        last.replace(previous)
    following.replace(last)
    shutil.rmtree(old, ignore_errors=True)
    sync(run)


@dataclass(frozen=True)
class SavedState:
    """A complete saved state of a run.

    Attributes:
        folder: where.
        step: optimiser steps taken.
        refused: newer states that are damaged, and why.
    """

    folder: Path
    step: int
    refused: tuple[str, ...]


def find_saved_state(run: Path) -> SavedState | None:
    """Return the newest complete state of a run, or None when nothing was saved yet.

    A run that was killed between two renames is put in order first.

    Raises:
        CheckpointError: states are there, and all are damaged.
    """
    if (run / NEXT).exists():
        rotate(run)
    refused: list[str] = []
    for name in (LAST, PREVIOUS):
        if not (run / name).exists():
            continue
        try:
            step = int(read_training_state(run / name)["global_step"])
        except CheckpointError as error:
            refused.append(str(error))
            continue
        return SavedState(run / name, step, tuple(refused))
    if refused:
        raise CheckpointError(
            "no saved state of the run can be read; begin again with another out=\n"
            + "\n".join(refused)
        )
    return None


def _explain_write(error: Exception, path: Path) -> str:
    # safetensors passes on only the words of the system's error
    codes = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    full = getattr(error, "errno", None) in codes or any(
        os.strerror(code) in str(error) for code in codes
    )
    reason = "the disk is full" if full else "it cannot be written"
    return (
        f"{path}: {reason} ({error}); the states saved before are intact: free space and run the "
        "same command again to continue from there"
    )
