"""The work folder of a tiled prediction: what is finished, so that a stopped one goes on.

``OUT/.NAME.tiles`` holds ``job.json``, which says what the work is for; the tiles' summaries
(safetensors) and labels (.npy), each written whole or not at all; and, of images that are slow to
read in parts, a copy. It is removed when the results are written.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lookwider.errors import DataError, LookwiderError
from lookwider.images import atomic_path, write_bytes
from lookwider.inference.large.lock import locked
from lookwider.models import Segmenter
from lookwider.predictions import checked_name

HEADER_BYTES = 65_536
"""The beginning of a file that tells it from another one, beside its size and time."""

JOB = "job.json"


class WorkFolder:
    """What is finished of one image's tiles.

    Args:
        out: folder of the results.
        name: of the image; "/" between folders.
    """

    def __init__(self, out: str | Path, name: str) -> None:
        stem = Path(out) / checked_name(name)
        self.folder = stem.with_name(f".{stem.name}.tiles")
        self.copy = self.folder / "image.tif"

    def job(self) -> dict[str, Any] | None:
        """Return what the folder's content is for; None where there is none."""
        try:
            found = json.loads((self.folder / JOB).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def locked(self) -> AbstractContextManager[None]:
        """Keep other predictions out of the folder while a block goes on.

        Workers of the prediction that holds it share the folder without a lock of their own.

        Raises:
            LookwiderError: another one is at it.
        """
        return locked(self.folder.with_name(f"{self.folder.name}.lock"))

    def begin(self, job: Mapping[str, Any]) -> None:
        """Begin anew: whatever the folder holds is removed first.

        Raises:
            LookwiderError: it cannot be removed.
        """
        self.remove()
        if self.folder.exists():
            raise LookwiderError(
                f"{self.folder}: holds tiles of another prediction and cannot be removed, expected "
                "a folder of your own that can be written to; remove it by hand, or take another "
                "one with --out"
            )
        write_bytes(self.folder / JOB, json.dumps(job, indent=1).encode())

    def remove(self) -> None:
        """Remove the folder; first of all what says that its content can be used."""
        with suppress(OSError):
            (self.folder / JOB).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def summary(self, index: int) -> dict[str, Tensor] | None:
        """Return the tensors of a tile's summary; None where it is not finished."""
        try:
            tensors: dict[str, Tensor] = load_file(self._summary(index))
        except (OSError, SafetensorError):
            return None
        return tensors

    def save_summary(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Keep the tensors of a tile's summary."""
        with atomic_path(self._summary(index)) as path:
            save_file(dict(tensors), path)

    def labels(self, index: int, size: tuple[int, int]) -> npt.NDArray[np.uint8] | None:
        """Return a tile's labels, mapped from the file; None where they are not finished."""
        try:
            labels = np.load(self._labels(index), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return labels if labels.shape == size and labels.dtype == np.uint8 else None

    def save_labels(self, index: int, labels: npt.NDArray[np.uint8]) -> None:
        """Keep a tile's labels."""
        with atomic_path(self._labels(index)) as path, path.open("wb") as file:
            np.save(file, labels, allow_pickle=False)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Say in an error that ends the block that what was finished is kept.

        Raises:
            DataError: the image cannot be read to its end.
            LookwiderError: a file cannot be written.
        """
        try:
            yield
        except DataError as error:
            if self.job() is None:
                raise
            raise DataError(
                f"{error}; the tiles finished so far are kept in {self.folder}"
            ) from error
        except OSError as error:
            raise LookwiderError(
                f"cannot write the results: {error}; the tiles finished so far are kept in "
                f"{self.folder}: make room on the disk and give the same command again"
            ) from error

    def _summary(self, index: int) -> Path:
        return self.folder / "summaries" / f"{index:06d}.safetensors"

    def _labels(self, index: int) -> Path:
        return self.folder / "labels" / f"{index:06d}.npy"


def image_identity(path: Path) -> dict[str, Any]:
    """Return what tells a file from another: size, time of its last change, and its beginning.

    Raises:
        DataError: it cannot be read.
    """
    try:
        status = path.stat()
        with path.open("rb") as file:
            beginning = hashlib.sha256(file.read(HEADER_BYTES)).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return {"bytes": status.st_size, "changed": status.st_mtime_ns, "beginning": beginning}


def network_identity(model: Segmenter) -> dict[str, str]:
    """Return what labels depend on to the bit: the model, the device's type and the dtype."""
    return {
        "model": model_identity(model),
        "device": model.device.type,
        "dtype": str(model.compiled or next(model.parameters()).dtype),
    }


def model_identity(model: Segmenter) -> str:
    """Return a hash of a model's structure and weights.

    Example:
        >>> from lookwider import create_model
        >>> len(model_identity(create_model("fcn32s", backbone="test_resnet")))
        64
    """
    digest = hashlib.sha256()
    known = [model.architecture, str(model.compiled), model.preprocessing, model.classes]
    digest.update(repr(known).encode())
    for name, tensor in sorted(model.state_dict().items()):
        dense = tensor.detach().cpu().to_dense() if tensor.is_mkldnn else tensor.detach().cpu()
        digest.update(f"{name} {dense.dtype} {tuple(dense.shape)}".encode())
        digest.update(dense.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
