"""From a file of another project to a checkpoint: read, recognise, map, check, save."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookwider.errors import CheckpointError
from lookwider.models import Segmenter, count_parameters
from lookwider.weights.checkpoint import check_replaceable, save
from lookwider.weights.convert.caffe_names import blobs
from lookwider.weights.convert.mapping import build_model
from lookwider.weights.convert.nets import Net, recognise
from lookwider.weights.description import DESCRIPTION
from lookwider.weights.formats import CaffeNet, read_weights
from lookwider.weights.safe_files import sha256


@dataclass(frozen=True)
class Conversion:
    """What was converted.

    Attributes:
        file: the file that was read.
        folder: the checkpoint that was written.
        net: what the file was recognised as.
        architecture: the keywords of `lookwider.create_model`.
        parameters: how many numbers its parameters are, as the release counts them: the Caffe
            nets with the statistics of batch normalisation.
    """

    file: Path
    folder: Path
    net: Net
    architecture: dict[str, Any]
    parameters: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "file": str(self.file),
            "checkpoint": str(self.folder),
            "net": self.net.name,
            "what": self.net.layout.what,
            "trunk_only": self.net.is_trunk,
            "architecture": self.architecture,
            "classes": list(self.net.classes.names),
            "parameters": self.parameters,
        }


def convert(
    file: str | Path,
    folder: str | Path,
    *,
    net: str | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Conversion:
    """Turn a released network into a checkpoint of lookwider; nothing in the file is executed.

    The checkpoint takes exactly what the released network takes, holds its classes and palette,
    and golden outputs for `lookwider verify`.

    Args:
        file: a ``.caffemodel``, or a state dict as ``.pth`` or ``.safetensors``; told apart by
            content.
        folder: becomes the checkpoint; an older checkpoint there is replaced.
        net: one of `NETS`, where the file fits several.
        tell: called with a few words before each step.

    Raises:
        CheckpointError: the file cannot be read, is no known network, or its parameters are not
            exactly those of the network; nothing is written then.
        ConfigError: ``net`` is not known.
    """
    file, folder = Path(file), Path(folder)
    check_replaceable(folder)
    tell("reading")
    weights = read_weights(file)
    try:
        given = blobs(weights) if isinstance(weights, CaffeNet) else weights
        found = recognise(given, net)
        tell(f"checking every parameter of {found.name}")
        model = build_model(found, given)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error
    tell("hashing what was read")
    source = {"file": file.name, "sha256": sha256(file), "net": found.name}
    tell(f"computing golden outputs, writing {folder / DESCRIPTION}")
    save(model, folder, protocol={"converted": source}, golden=True)
    return Conversion(
        file=file,
        folder=folder,
        net=found,
        architecture=model.architecture,
        parameters=_count(model, statistics=found.layout.caffe),
    )


def _count(model: Segmenter, *, statistics: bool) -> int:
    running = (b.numel() for name, b in model.named_buffers() if ".running_" in name)
    return count_parameters(model).total + (sum(running) if statistics else 0)
