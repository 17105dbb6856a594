"""A model from the Hugging Face Hub."""

from __future__ import annotations

import torch

from lookwider.models import Segmenter
from lookwider.weights import load


def from_pretrained(
    repo: str, *, revision: str | None = None, device: str | torch.device = "cpu"
) -> Segmenter:
    """Download a model from the Hugging Face Hub, or take it from the cache.

    Only safetensors and JSON are fetched and nothing is executed. Sizes, shapes and hashes are
    checked first; see `lookwider.weights.hub_files`.

    Args:
        repo: ``OWNER/NAME``, or ``hf://OWNER/NAME@REVISION`` as on the command line.
        revision: a branch, a tag or a commit; the main branch when None.
        device: where the model is put.

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: there is no such model, it is not in reach, or it is no sound checkpoint
            of lookwider.
    """
    address = repo if repo.startswith("hf:/") else f"hf://{repo}"
    return load(address if revision is None else f"{address}@{revision}", device=device)
