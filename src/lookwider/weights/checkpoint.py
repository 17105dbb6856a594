"""lookwider's own checkpoint: a folder of safetensors and JSON. Nothing is ever unpickled.

``model.safetensors``
    every entry of ``model.state_dict()``.

``lookwider.json``
    one JSON object with exactly these keys:

    * ``format``: 1.
    * ``versions``: of lookwider, torch and timm when it was written.
    * ``architecture``: the keywords of `lookwider.create_model` that rebuild the model.
    * ``classes``: ``{"names", "palette"}``, id = position; ``extra_classes``: the same of further
      heads, by head name.
    * ``class_map``: ``{"ids": {stored: id}, "ignore", "encoding"}`` or null.
    * ``preprocessing``: ``{"mean", "std", "scale", "order"}``.
    * ``alignment``: how the coarse scores upsample to the image, in words.
    * ``protocol``: how it was trained; ``scores``: what it reached and how that was measured.
    * ``golden``: what it gave for a made-up picture, see `lookwider.weights.golden`, or null.
    * ``tensors``: name -> ``{"dtype", "shape"}``, as in the header of ``model.safetensors``.
    * ``sha256``: of every other file of the folder, and under ``lookwider.json`` of this object
      without ``sha256`` (keys sorted, no spaces, ASCII).

``training.safetensors`` and ``training.json``
    in the last checkpoint of a run: what resuming it needs.

Reading trusts nothing: sizes, nesting, names and hashes are checked first, then the list of
tensors against the file's length and the architecture built without memory (on the meta device),
and only then is the model made and filled. A folder is replaced whole; see `atomic_folder`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lookwider.errors import CheckpointError
from lookwider.models import Segmenter
from lookwider.weights.architecture import build, check_tensors
from lookwider.weights.description import (
    DESCRIPTION,
    FORMAT,
    OWN_FILES,
    WEIGHTS,
    Description,
    TensorEntry,
    describe,
    json_ready,
    listed,
)
from lookwider.weights.golden import golden_outputs
from lookwider.weights.hub_files import fetch, hub_address
from lookwider.weights.safe_files import (
    atomic_folder,
    existing_folder,
    plain_file,
    sha256,
)
from lookwider.weights.tensors import compare_tensors, separate, tensor_entries, tensor_list


def save(
    model: Segmenter,
    folder: str | Path,
    *,
    protocol: Mapping[str, Any] | None = None,
    scores: Mapping[str, Any] | None = None,
    state: Mapping[str, Tensor] | None = None,
    golden: bool = False,
    extra: Callable[[Path], None] | None = None,
) -> Path:
    """Write a model as a checkpoint folder that appears whole or not at all.

    Args:
        model: what to write.
        folder: becomes the checkpoint; an older checkpoint there is replaced.
        protocol: how the model was trained; anything JSON holds, nan becomes null.
        scores: what it reached, and how that was measured; the same.
        state: the weights to write when they are not the model's own, such as their running
            average; the names of ``model.state_dict()``.
        golden: also store what the model gives for a made-up picture, which `lookwider verify`
            computes again.
        extra: writes ``training.safetensors`` and ``training.json`` into the folder it is given,
            so that they appear together with the weights.

    Returns:
        ``folder``.

    Raises:
        CheckpointError: ``folder`` holds anything that is not part of a checkpoint, a value is
            not JSON, ``state`` is not the model's, or the model's output is not finite.
    """
    target = Path(folder)
    check_replaceable(target)
    tensors = separate(model.state_dict() if state is None else state)
    entries = {name: TensorEntry.of(name, t) for name, t in tensors.items()}
    compare_tensors(tensor_entries(model), entries, "the state given")
    description = Description.model_validate(
        {
            "format": FORMAT,
            "versions": {name: metadata.version(name) for name in ("lookwider", "torch", "timm")},
            "architecture": json_ready(model.architecture, "architecture"),
            "classes": model.classes,
            "extra_classes": dict(model.extra_classes),
            "class_map": model.class_map,
            "preprocessing": model.preprocessing,
            "alignment": _alignment(model),
            "protocol": json_ready(protocol or {}, "protocol"),
            "scores": json_ready(scores or {}, "scores"),
            "golden": golden_outputs(model, state=state) if golden else None,
            "tensors": entries,
            "sha256": {},
        }
    )
    with atomic_folder(target) as new:
        if extra is not None:
            extra(new)
        save_file(tensors, new / WEIGHTS)
        files = {path.name: sha256(path) for path in sorted(new.iterdir())}
        if unknown := set(files) - OWN_FILES:
            raise CheckpointError(f"a checkpoint has no place for {listed(unknown)}")
        text = description.with_hashes(files).model_dump_json(indent=1)
        (new / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
    return target


def load(folder: str | Path, *, device: str | torch.device = "cpu") -> Segmenter:
    """Read a checkpoint, or the best one of a training run, as a model in evaluation mode.

    Args:
        folder: a checkpoint, or a run holding ``best`` or else ``last``.
        device: where the model is put.

    Raises:
        CheckpointError: it is missing, incomplete, damaged, newer than this lookwider, or its
            tensors are not exactly those of its architecture; the message lists them.
    """
    folder = checkpoint_folder(folder)
    description = describe(folder)
    path = verified_file(folder, WEIGHTS, description)
    found = tensor_list(path)
    compare_tensors(description.tensors, found, str(path))
    check_tensors(folder, description, str(path))
    model = build(folder, description)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from error
    model.load_state_dict(tensors, strict=True)
    return model.to(device).eval()


def checkpoint_folder(folder: str | Path) -> Path:
    """Return the checkpoint that a path means: itself, or a run's ``best`` or else ``last``.

    A run killed while it renamed ``last`` still holds ``previous``. ``hf://OWNER/NAME`` is
    downloaded once, into the cache of huggingface_hub.

    Raises:
        CheckpointError: there is none.
    """
    if (address := hub_address(folder)) is not None:
        return fetch(address)
    folder = Path(folder)
    for candidate in (folder, folder / "best", folder / "last", folder / "previous"):
        existing = existing_folder(candidate)
        if (existing / DESCRIPTION).exists():
            return existing
    reason = f"holds no {DESCRIPTION}, neither itself nor in best/ or last/"
    raise CheckpointError(
        f"{folder}: {reason if folder.is_dir() else 'no such folder'}; "
        "expected a checkpoint, the out= folder of `lookwider train`, or hf://OWNER/NAME"
    )


def verified_file(folder: Path, name: str, description: Description) -> Path:
    """Return the path of a checkpoint's file after comparing its hash.

    Raises:
        CheckpointError: the file is not listed, missing, not a regular file, or has changed.
    """
    if name not in description.sha256:
        raise CheckpointError(f"{folder}: holds no {name}")
    path = plain_file(folder, name)
    if sha256(path) != description.sha256[name]:
        raise CheckpointError(
            f"{path}: damaged or truncated: its SHA-256 is not the one in {DESCRIPTION}; "
            "copy the checkpoint again"
        )
    return path


def check_replaceable(folder: Path) -> None:
    """Refuse to overwrite what is not a checkpoint: replacing deletes what was there.

    Raises:
        CheckpointError: the folder holds something else, or is a file.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: is a file, expected a folder to write")
    others = {path.name for path in folder.iterdir()} - OWN_FILES
    if others:
        raise CheckpointError(
            f"{folder}: holds {listed(others)}, which saving a checkpoint here would delete; "
            "choose a new folder"
        )


def _alignment(model: Segmenter) -> str:
    """Return in words how the main head's scores lie in the image."""
    grid = model.segmentation_heads()[0].grid
    cells = f"cells of {grid.stride:g} pixels, the first centred on pixel {grid.offset:g}"
    return f"{cells}; {model.alignment}"
