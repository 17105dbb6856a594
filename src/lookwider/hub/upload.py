"""Uploading a run: its weights, their description and a model card, in one commit."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lookwider.errors import LookwiderError
from lookwider.hub.card import model_card
from lookwider.hub.record import RunRecord, read_record, without_folders
from lookwider.images import write_bytes
from lookwider.weights.checkpoint import verified_file
from lookwider.weights.description import DESCRIPTION, WEIGHTS
from lookwider.weights.hub_files import hub_address

CARD = "README.md"

Content = Path | bytes
"""A file to copy, or what is in it."""


@dataclass(frozen=True)
class Pushed:
    """What was uploaded.

    Attributes:
        repo: ``OWNER/NAME``.
        url: of its page.
        commit: that holds the files.
        files: their names.
    """

    repo: str
    url: str
    commit: str
    files: tuple[str, ...]


def push_to_hub(
    run: str | Path,
    repo: str,
    *,
    private: bool = False,
    licence: str | None = None,
    picture: str | Path | None = None,
) -> Pushed:
    """Upload a run to the Hugging Face Hub, with a model card written from it.

    The repository is made when it is not there. All files appear in one commit, or none does.

    Args:
        run: its folder, or a checkpoint.
        repo: ``OWNER/NAME``.
        private: whether a new repository is seen by its owner only.
        licence: identifier of a licence on the Hub, such as ``apache-2.0``.
        picture: a PNG or JPEG to show on the card, such as an overlay.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
        LookwiderError: the Hub is not in reach, or refuses.
    """
    files = hub_files(run, repo, licence=licence, picture=picture)
    from huggingface_hub import CommitOperationAdd, HfApi

    operations = [
        CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        for name, content in files.items()
    ]
    api = HfApi()
    try:
        # whether an older repository is private stays as it is
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.create_commit(repo, operations, commit_message="Upload from lookwider")
    except Exception as error:  # no network, no token, no right to write: each its own exception
        raise LookwiderError(_refused(repo, error)) from error
    return Pushed(repo, f"{api.endpoint}/{repo}", commit.oid, tuple(files))


def write_hub_files(
    run: str | Path,
    repo: str,
    folder: str | Path,
    *,
    licence: str | None = None,
    picture: str | Path | None = None,
) -> tuple[str, ...]:
    """Write what `push_to_hub` uploads into a folder, to look at it first; return the names.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    files = hub_files(run, repo, licence=licence, picture=picture)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, Path):
            shutil.copyfile(content, target / name)
        else:
            write_bytes(target / name, content)
    return tuple(files)


def hub_files(
    run: str | Path,
    repo: str,
    *,
    licence: str | None = None,
    picture: str | Path | None = None,
) -> dict[str, Content]:
    """Return the files of a run on the Hub, by name.

    The description is signed anew: without the folders of this machine, which settings name.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
        LookwiderError: the repository's name or the picture is none.
    """
    address = hub_address(f"hf://{repo}")
    if address is None or address.repo != repo:
        raise LookwiderError(f"got the repository {repo!r}, expected OWNER/NAME")
    record = read_record(run)
    weights = verified_file(record.checkpoint, WEIGHTS, record.description)
    shown = None if picture is None else _picture(Path(picture))
    files: dict[str, Content] = {
        DESCRIPTION: _description(record),
        WEIGHTS: weights,
        **{f"confusion-{split}.png": path for split, path in record.pictures.items()},
    }
    if shown is not None:
        files[f"picture{shown.suffix.lower()}"] = shown
    name = None if shown is None else f"picture{shown.suffix.lower()}"
    files[CARD] = model_card(record, repo, licence=licence, picture=name).encode()
    return files


def _description(record: RunRecord) -> bytes:
    description = record.description.model_copy(
        update={"protocol": without_folders(record.description.protocol)}
    )
    signed = description.with_hashes({WEIGHTS: record.description.sha256[WEIGHTS]})
    return (signed.model_dump_json(indent=1) + "\n").encode()


def _picture(path: Path) -> Path:
    if path.suffix.lower() not in {".png", ".jpg", ".jpeg"} or not path.is_file():
        raise LookwiderError(f"got the picture {path}, expected a PNG or JPEG file that is there")
    return path


def _refused(repo: str, error: Exception) -> str:
    code = getattr(getattr(error, "response", None), "status_code", None)
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if code in (401, 403) or "token" in type(error).__name__.lower():
        return (
            f"{repo}: the Hub does not let this account write there ({reason}); log in with: "
            "hf auth login, and choose a repository of your own"
        )
    return (
        f"{repo}: not uploaded: {reason}; check the connection, or write the files into a folder "
        "with --out DIR and upload that"
    )
