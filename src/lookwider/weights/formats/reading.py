"""Weight files of any kind, told apart by their content."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lookwider.errors import CheckpointError
from lookwider.weights.formats.caffemodel import CaffeNet, read_caffemodel
from lookwider.weights.formats.kinds import Kind, expect, kind_of
from lookwider.weights.formats.pth import read_pth
from lookwider.weights.tensors import tensor_list


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, on the CPU.

    Args:
        path: the file.

    Raises:
        CheckpointError: it is no such file, damaged or truncated.
    """
    expect(path, Kind.SAFETENSORS)
    tensor_list(Path(path))
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: damaged: {error}; compare its size and hash with those at its source"
        ) from error


def read_weights(path: str | Path) -> CaffeNet | dict[str, Tensor]:
    """Read a weight file of any known kind, whatever its name ends in.

    Args:
        path: a caffemodel, a file of ``torch.save``, or a safetensors file.

    Returns:
        A caffemodel's layers, or a flat state dict.

    Raises:
        CheckpointError: it is missing, of none of these kinds, damaged, or would have to execute
            something.
    """
    match kind_of(path):
        case Kind.ZIP_PTH | Kind.LEGACY_PTH:
            return read_pth(path)
        case Kind.SAFETENSORS:
            return read_safetensors(path)
        case Kind.CAFFEMODEL:
            return read_caffemodel(path)
