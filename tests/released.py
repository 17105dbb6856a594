"""The released networks filled by a hash formula, so that no weight files are needed.

The formula is stated in the figures of the released networks (forward_probes.json): lowbias32 of
the flat index and a stream number; streams count the parameter blobs in the release's order.
"""

from __future__ import annotations

from collections.abc import Callable
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


def parsenet_name(name: str) -> str | None:
    """Return a parameter's name in the released ParseNet; None for the deconvolution: no hash."""
    if "deconvolution" in name:
        return None
    layer, _, kind = name.removeprefix("backbone.").rpartition(".")
    layer = {
        "context.local_norms.0": "fc7_norm",
        "context.global_norms.0": "pool6_1x1_norm",
        "heads.main.scores.0": "fc7_norm_score21",
        "heads.main.context_scores.0": "pool6_1x1_norm_score21",
    }.get(layer, layer)
    return f"{layer}[{1 if kind == 'bias' else 0}]"


STEM = {
    "conv1.0": "conv1_1_3x3_s2",
    "conv1.1": "conv1_1_3x3_s2/bn",
    "conv1.3": "conv1_2_3x3",
    "conv1.4": "conv1_2_3x3/bn",
    "conv1.6": "conv1_3_3x3",
    "bn1": "conv1_3_3x3/bn",
}
BLOCK = {
    **{"conv1": "1x1_reduce", "bn1": "1x1_reduce/bn", "conv2": "3x3", "bn2": "3x3/bn"},
    **{"conv3": "1x1_increase", "bn3": "1x1_increase/bn"},
    **{"downsample.0": "1x1_proj", "downsample.1": "1x1_proj/bn"},
}


def pspnet_name(name: str, bins: tuple[int, ...] = (6, 3, 2, 1)) -> str | None:
    """Return a tensor's name in the released PSPNets; None for what Caffe does not store."""
    layer, _, kind = name.rpartition(".")
    if kind == "num_batches_tracked":
        return None
    order = ["weight", "bias", "running_mean", "running_var"]
    part = layer.removeprefix("backbone.network.")
    if part in STEM:
        layer = STEM[part]
    elif part.startswith("layer"):
        stage, block, inner = part.split(".", 2)
        layer = f"conv{int(stage[5:]) + 1}_{int(block) + 1}_{BLOCK[inner]}"
    elif part.startswith("context.branches."):
        layer = f"conv5_3_pool{bins[int(part.split('.')[2])]}_conv"
        layer += "/bn" if part.endswith("norm") else ""
    else:
        layer = {"score": "conv6", "hidden.conv": "conv5_4", "hidden.norm": "conv5_4/bn"}[
            part.removeprefix("heads.main.")
        ]
    return f"{layer}[{order.index(kind)}]"


def hash_blob(blob: str, shape: tuple[int, ...], stream: int) -> Tensor:
    """Return the values of a blob such as ``conv1_1[0]``, by the formula's rule for its kind."""
    layer, position = blob[:-3], int(blob[-2])
    if layer.endswith("_norm"):
        values = 10 * (1 + 0.2 * hash_uniform(shape, stream))
    elif layer.endswith("/bn"):
        uniform = hash_uniform(shape, stream)
        values = 1 + 0.5 * uniform if position in (0, 3) else 0.2 * uniform
        if position == 0 and layer.endswith("_1x1_increase/bn"):
            values = 0.2 * values
    else:
        return convolution_blob(shape, stream)
    return torch.from_numpy(values.astype(np.float32))


def fill_with_hash(
    model: Segmenter,
    stream_order: list[str],
    name_of: Callable[[str], str | None] = released_name,
) -> None:
    """Fill a released-style net; its names are matched with the release's stream order."""
    streams = {entry.partition(":")[2]: int(entry.partition(":")[0]) for entry in stream_order}
    two_heads = any("_geo" in blob for blob in streams)
    used = set()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            blob = name_of(name)
            if blob is None:
                continue
            blob = blob.replace("_MAIN", "_sem" if two_heads else "")
            used.add(blob)
            tensor.copy_(hash_blob(blob, tuple(tensor.shape), streams[blob]))
    assert used == set(streams), used ^ set(streams)
