"""The released networks filled by a hash formula, so that no weight files are needed.

The formula is stated in the figures of the released networks (forward_probes.json): lowbias32 of
the flat index and a stream number; streams count the parameter blobs in the release's order.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lookwider.models import Segmenter


def hash_uniform(shape: tuple[int, ...], stream: int) -> npt.NDArray[np.float64]:
    """Return u(i, stream) in [-0.5, 0.5) for the flat indices of this shape."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        x = np.arange(1, count + 1, dtype=np.uint32) + np.uint32(stream * 0x9E3779B9 % 2**32)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x7FEB352D)
        x ^= x >> np.uint32(15)
        x *= np.uint32(0x846CA68B)
        x ^= x >> np.uint32(16)
    return (x / 2.0**32 - 0.5).reshape(shape)


@lru_cache(maxsize=64)
def convolution_blob(shape: tuple[int, ...], stream: int) -> Tensor:
    """Return a convolution's weight (4 dimensions) or bias (1) of the formula."""
    values = hash_uniform(shape, stream)
    scale = np.sqrt(12) * np.sqrt(2 / np.prod(shape[1:])) if len(shape) == 4 else 0.2
    return torch.from_numpy((values * scale).astype(np.float32))


def hash_image(shape: list[int]) -> Tensor:
    """Return the input of the probes."""
    return torch.from_numpy((100 * hash_uniform(tuple(shape), 0)).astype(np.float32))


def released_name(name: str) -> str | None:
    """Return a parameter's name in the released FCNs; None for deconvolutions: no hash."""
    if "deconvolution" in name:
        return None
    kind = name.rpartition(".")[2]
    layer = name.removeprefix("backbone.").rpartition(".")[0]
    if layer.startswith("heads."):
        _, head, *rest = layer.split(".")
        skips = {"score_skips.0": "score_pool4", "score_skips.1": "score_pool3"}
        layer = skips.get(".".join(rest), rest[0]) + {"geometric": "_geo"}.get(head, "_MAIN")
    return f"{layer}[{0 if kind == 'weight' else 1}]"


def fill_with_hash(model: Segmenter, stream_order: list[str]) -> None:
    """Fill a released-style FCN; its names are matched with the release's stream order."""
    streams = {entry.partition(":")[2]: int(entry.partition(":")[0]) for entry in stream_order}
    two_heads = any("_geo" in blob for blob in streams)
    used = set()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            blob = released_name(name)
            if blob is None:
                continue
            blob = blob.replace("_MAIN", "_sem" if two_heads else "")
            used.add(blob)
            parameter.copy_(convolution_blob(tuple(parameter.shape), streams[blob]))
    assert used == set(streams), used ^ set(streams)
