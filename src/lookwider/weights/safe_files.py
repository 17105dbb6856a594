"""Folders that appear whole or not at all, and files read without trusting them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lookwider.errors import CheckpointError

MAX_JSON_BYTES = 16 * 1024 * 1024
"""A description or a tensor list is far smaller; larger is refused before it is read."""

MAX_JSON_DEPTH = 32
"""Nesting of a description; deeper is refused before it is parsed."""


def new_sibling(folder: Path) -> Path:
    """Return where `atomic_folder` prepares the next content of ``folder``."""
    return folder.with_name(f".{folder.name}.new")


def old_sibling(folder: Path) -> Path:
    """Return where `atomic_folder` keeps the last content of ``folder`` for a moment."""
    return folder.with_name(f".{folder.name}.old")


def existing_folder(folder: Path) -> Path:
    """Return the folder, or its complete last content when a replacement was cut in the middle."""
    return old_sibling(folder) if not folder.exists() and old_sibling(folder).is_dir() else folder


@contextmanager
def atomic_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder that replaces ``folder`` when the block ends well.

    The new content is flushed to the disk first; then ``folder`` is renamed to ``.NAME.old``,
    ``.NAME.new`` to ``folder``, and ``.NAME.old`` removed. Killed at any moment, a whole folder
    is at ``folder`` or, between the two renames, at ``.NAME.old``, where `existing_folder` finds
    it; the next replacement puts it back first. On an error the target stays as it was. One
    process at a time may replace a folder.
    """
    target = Path(folder).resolve()
    new, old = new_sibling(target), old_sibling(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if old.exists() and not target.exists():
        old.replace(target)
    for left_over in (new, old):
        if left_over.exists():
            shutil.rmtree(left_over)
    new.mkdir()
    try:
        yield new
        for path in new.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors writes for the owner alone
            sync(path)
        sync(new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if target.exists():
        target.replace(old)
    new.replace(target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync(path: Path) -> None:
    """Flush a file or a folder's list of names to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def plain_file(folder: Path, name: str) -> Path:
    """Return the path of a regular file directly in ``folder``.

    The cache of huggingface_hub holds links, each to a file beside: those are followed.

    Raises:
        CheckpointError: the name leads elsewhere, or the file is missing, a link or a device.
    """
    if name in {"", ".", ".."} or set(name) & {"/", "\\", "\0", ":"}:
        raise CheckpointError(f"{folder}: got the file name {name!r}, expected a plain name")
    path = folder / name
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise CheckpointError(
            f"{path}: missing; a checkpoint folder is complete or unusable, copy it again"
        ) from error
    if stat.S_ISLNK(mode) and _in_hub_cache(path):
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"{path}: expected a regular file, not a link, folder or device")
    return path


def _in_hub_cache(path: Path) -> bool:
    """Whether a link is snapshots/COMMIT/NAME to a file of ``blobs`` beside ``snapshots``."""
    snapshots, target = path.absolute().parent.parent, path.resolve()
    blobs = snapshots.with_name("blobs") if snapshots.name == "snapshots" else None
    if blobs is None or blobs.is_symlink():
        return False
    return target.parent == blobs.resolve() and target.is_file()


def sha256(path: Path) -> str:
    """Return a file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_json(data: bytes, path: Path) -> dict[str, Any]:
    """Parse a JSON object from a file that is not trusted.

    Args:
        data: the bytes.
        path: named in errors.

    Raises:
        CheckpointError: it is too long, nested too deeply, not UTF-8 JSON, not an object, or
            names one key twice.
    """
    if len(data) > MAX_JSON_BYTES:
        raise CheckpointError(f"{path}: {len(data)} bytes, expected at most {MAX_JSON_BYTES}")
    if _depth(data) > MAX_JSON_DEPTH:
        raise CheckpointError(f"{path}: nested deeper than {MAX_JSON_DEPTH} levels")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique_keys, parse_constant=_refuse)
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}; the file is damaged") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: got a {type(value).__name__}, expected a JSON object")
    return value


def _depth(data: bytes) -> int:
    """Return an upper bound of the nesting: brackets within strings count too."""
    deepest = level = 0
    for byte in data:
        if byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object names one key twice")
    return result


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
