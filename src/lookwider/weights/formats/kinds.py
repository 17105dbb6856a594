"""What a weight file is, told from its first bytes; names and extensions are not trusted."""

from __future__ import annotations

import struct
from enum import StrEnum
from pathlib import Path

from lookwider.errors import CheckpointError

LEGACY_PTH = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""How torch.save began a file before PyTorch 1.6: its magic number, pickled."""

HEAD_BYTES = 512

_TEXT = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\r")


class Kind(StrEnum):
    """A kind of weight file; the value is its name in messages."""

    CAFFEMODEL = "a caffemodel"
    ZIP_PTH = "a PyTorch file"
    LEGACY_PTH = "a PyTorch file of before 1.6"
    SAFETENSORS = "a safetensors file"


_FOREIGN = (
    (
        b"version https://git-lfs.github.com/spec/",
        "is a Git LFS pointer, not the file itself; fetch it with: git lfs pull",
    ),
    (
        b"\x89HDF\r\n\x1a\n",
        "is an HDF5 file, expected a caffemodel, PyTorch or safetensors file",
    ),
    (
        b"\x1f\x8b",
        "is compressed with gzip; unpack it first, with: gunzip or tar -xzf",
    ),
)
_PICKLE = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


def kind_of(path: str | Path) -> Kind:
    """Return what a file is, from its content.

    A caffemodel has no mark of its own: it is what nothing else is, and its reader decides.

    Args:
        path: the file.

    Raises:
        CheckpointError: it is missing, a folder, empty, or clearly something else.
    """
    head, size = _head(Path(path))
    for start, problem in _FOREIGN:
        if head.startswith(start):
            raise CheckpointError(f"{path}: {problem}")
    if head.startswith(b"PK\x03\x04"):
        return Kind.ZIP_PTH
    if head.startswith(LEGACY_PTH):
        return Kind.LEGACY_PTH
    if head[257:262] == b"ustar":
        raise CheckpointError(
            f"{path}: is a tar archive; unpack it first, or, if it is a model of PyTorch 0.1, save "
            "it again with a newer PyTorch"
        )
    if head.startswith(_PICKLE):
        raise CheckpointError(
            f"{path}: is a Python pickle that torch.save did not write; nothing in it was executed"
        )
    if _begins_safetensors(head, size):
        return Kind.SAFETENSORS
    _refuse_text(path, head)
    return Kind.CAFFEMODEL


def expect(path: str | Path, *kinds: Kind) -> Kind:
    """Return the kind of a file that must be one of ``kinds``.

    Raises:
        CheckpointError: it is another.
    """
    kind = kind_of(path)
    if kind not in kinds:
        found = kind if kind is not Kind.CAFFEMODEL else "of no known format, or a caffemodel"
        raise CheckpointError(f"{path}: is {found}, expected {kinds[0]}")
    return kind


def _head(path: Path) -> tuple[bytes, int]:
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder, expected a weight file")
    if not path.exists():
        raise CheckpointError(f"{path}: no such file")
    if not path.is_file():
        raise CheckpointError(f"{path}: is a device or a pipe, expected a regular file")
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"{path}: is empty; download it again")
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES), size
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error


def _begins_safetensors(head: bytes, size: int) -> bool:
    """Whether it starts with the length of a header inside the file, and then a JSON object."""
    return len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= size - 8


def _refuse_text(path: str | Path, head: bytes) -> None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise CheckpointError(
            f"{path}: is a web page, not a weight file: the download was redirected, to a login or "
            "a warning perhaps; download it with a browser"
        )
    if len(head) >= 8 and set(head) <= _TEXT:
        raise CheckpointError(
            f"{path}: is text, expected a weight file; a .prototxt describes a network, its "
            "weights are in the .caffemodel"
        )
