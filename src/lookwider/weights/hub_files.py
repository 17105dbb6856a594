"""Checkpoints on the Hugging Face Hub: two files are fetched, after their sizes are checked.

``hf://OWNER/NAME`` or ``hf://OWNER/NAME@REVISION`` stands for a checkpoint wherever a run does.
Only ``lookwider.json`` and ``model.safetensors`` are downloaded, whatever else lies there. The
first is small; it says which tensors the second must hold, and those are compared with the
architecture, built without memory, and with the announced size before the second is fetched.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lookwider.errors import CheckpointError
from lookwider.weights.architecture import check_tensors
from lookwider.weights.description import DESCRIPTION, WEIGHTS, describe, listed
from lookwider.weights.safe_files import MAX_JSON_BYTES
from lookwider.weights.tensors import bytes_of

MAX_WEIGHTS_BYTES = 16 * 1024**3
"""The largest trunks hold 4 GB; larger is refused before it is downloaded."""

_ADDRESS = re.compile(
    r"hf:/{1,2}(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w./-]+))?", re.ASCII
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubAddress(NamedTuple):
    """A model on the Hub.

    Attributes:
        repo: ``OWNER/NAME``.
        revision: a branch, a tag or a commit.
    """

    repo: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"hf://{self.repo}" + ("" if self.revision == "main" else f"@{self.revision}")


def hub_address(text: str | Path) -> HubAddress | None:
    """Return the model that ``hf://OWNER/NAME[@REVISION]`` means; None for any other path.

    Raises:
        CheckpointError: it begins so, and does not go on so.

    Example:
        >>> hub_address("hf://ann/roads@v1")
        HubAddress(repo='ann/roads', revision='v1')
        >>> hub_address("runs/a")
    """
    given = text.as_posix() if isinstance(text, Path) else text  # a Path keeps one slash of two
    if not given.startswith("hf:/"):
        return None
    match = _ADDRESS.fullmatch(given)
    if match is None:
        raise CheckpointError(
            f"got {given!r}, expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION"
        )
    return HubAddress(match["repo"], match["revision"] or "main")


def hub_repository(folder: Path) -> str | None:
    """Return ``OWNER/NAME`` of a folder in the cache of huggingface_hub, None for any other.

    Example:
        >>> hub_repository(Path("hub/models--ann--roads/snapshots/0a1b"))
        'ann/roads'
    """
    parts = folder.parts[-3:]
    if len(parts) < 3 or parts[1] != "snapshots" or not parts[0].startswith("models--"):
        return None
    return parts[0].removeprefix("models--").replace("--", "/", 1)


@functools.cache  # a command sees one revision, also when the branch moves meanwhile
def fetch(address: HubAddress) -> Path:
    """Return the folder of a checkpoint on the Hub, downloading what the cache lacks.

    Raises:
        CheckpointError: there is no such model, it is no checkpoint of lookwider, its files are
            too large or contradict each other, or it is neither in reach nor in the cache.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if _COMMIT.fullmatch(address.revision) and (known := _cached(address)) is not None:
        return known
    try:
        info = HfApi().model_info(address.repo, revision=address.revision, files_metadata=True)
    except GatedRepoError as error:
        raise CheckpointError(
            f"{address}: access has to be granted first; ask for it on the model's page, then log "
            "in with: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{address}: no such model, or a private one; for a private one log in with: "
            "hf auth login"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(
            f"{address}: the model has no branch, tag or commit {address.revision!r}"
        ) from error
    except Exception as error:  # no network, a proxy, a server that fails: each its own exception
        if (known := _cached(address)) is not None:
            return known
        raise _unreachable(address, error) from error
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    check_sizes(address, sizes)
    try:
        folder = _download(address, [DESCRIPTION])
        if folder.name != info.sha:
            raise CheckpointError(f"{address}: was replaced a moment ago; repeat the command")
        check_announced(folder, int(sizes[WEIGHTS] or 0))
        return _download(address._replace(revision=folder.name), [DESCRIPTION, WEIGHTS])
    except CheckpointError:
        raise
    except Exception as error:  # the same, in the middle of a download
        raise _unreachable(address, error) from error


def check_sizes(address: HubAddress, sizes: Mapping[str, int | None]) -> None:
    """Refuse a model whose files are not those of a checkpoint, by their announced sizes.

    Raises:
        CheckpointError: a file is missing, or larger than any real one.
    """
    if missing := {DESCRIPTION, WEIGHTS} - sizes.keys():
        raise CheckpointError(
            f"{address}: holds no {listed(missing)}, so it is no checkpoint of lookwider; it holds "
            f"{listed(sizes) or 'nothing'}"
        )
    for name, most in ((DESCRIPTION, MAX_JSON_BYTES), (WEIGHTS, MAX_WEIGHTS_BYTES)):
        size = sizes[name]
        if size is None or not 0 < size <= most:
            raise CheckpointError(
                f"{address}: got a {name} of {size} bytes, expected 1 to {most}; not downloaded"
            )


def check_announced(folder: Path, size: int) -> None:
    """Refuse weights that are not what the description lists, before they are downloaded.

    Args:
        folder: holds ``lookwider.json``.
        size: announced bytes of ``model.safetensors``.

    Raises:
        CheckpointError: the description is damaged, contradicts its own architecture, or lists
            more or less than the file can hold.
    """
    description = describe(folder)
    check_tensors(folder, description, DESCRIPTION)
    least = bytes_of(description.tensors, DESCRIPTION)
    if not least + 8 <= size <= least + 8 + MAX_JSON_BYTES:
        raise CheckpointError(
            f"{folder / DESCRIPTION}: lists tensors of {least} bytes, but {WEIGHTS} has {size}; "
            "not downloaded"
        )


def _download(address: HubAddress, names: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(address.repo, revision=address.revision, allow_patterns=list(names))
    )


def _cached(address: HubAddress) -> Path | None:
    """Return what an earlier command downloaded; None where the cache does not hold all of it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    names = [DESCRIPTION, WEIGHTS]
    try:
        found = snapshot_download(
            address.repo, revision=address.revision, allow_patterns=names, local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    folder = Path(found)
    return folder if all((folder / name).exists() for name in names) else None


def _unreachable(address: HubAddress, error: Exception) -> CheckpointError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
    return CheckpointError(
        f"{address}: cannot be reached ({type(error).__name__}: {reason}), and is not complete in "
        "the cache; check the connection, or copy the checkpoint's folder here by other means"
    )
