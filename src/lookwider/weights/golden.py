"""Golden outputs: what a model gave for a made-up picture when it was saved.

Stored in a checkpoint, they show on any machine that the weights, their layout and the
preprocessing still mean the same network; hashes only show that the files are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.func import functional_call

from lookwider.errors import CheckpointError
from lookwider.layers.modes import evaluating, full_precision
from lookwider.models.segmenter import Segmenter

SIZE = (65, 81)
"""Height and width of the picture: odd, so that every rounding of sizes shows, and small."""

PROBES = 16
"""Values that are kept of each output."""

TOLERANCE = 1e-4
"""Largest difference, relative to an output's largest value, that rounding explains."""

Side = Annotated[int, Field(ge=1, le=1024)]


class GoldenOutput(BaseModel):
    """What is kept of one output.

    Attributes:
        shape: of the output.
        mean: of its values.
        std: of its values.
        largest: magnitude of its values.
        probes: its values at places spread over it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    shape: tuple[int, ...]
    mean: float
    std: float
    largest: float
    probes: tuple[float, ...]

    @classmethod
    def of(cls, output: Tensor) -> GoldenOutput:
        """Take the values of an output."""
        values = output.double()
        places = probe_places(values.numel()).to(values.device)
        return cls(
            shape=tuple(values.shape),
            mean=values.mean().item(),
            std=values.std(correction=0).item(),
            largest=values.abs().max().item(),
            probes=tuple(values.flatten()[places].tolist()),
        )

    def difference(self, other: GoldenOutput) -> float:
        """Return the largest difference of any value, relative to the largest output."""
        if self.shape != other.shape or len(self.probes) != len(other.probes):
            return math.inf
        pairs = zip(
            (self.mean, self.std, self.largest, *self.probes),
            (other.mean, other.std, other.largest, *other.probes),
            strict=True,
        )
        worst = max(abs(a - b) for a, b in pairs)
        return worst / self.largest if self.largest else worst


class Golden(BaseModel):
    """The outputs for the made-up picture of a size.

    Attributes:
        size: height and width of the picture.
        outputs: by name: ``features``, the trunk's coarsest map, and the logits of every head.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: tuple[Side, Side]
    outputs: dict[str, GoldenOutput]

    def differences(self, other: Golden) -> dict[str, float]:
        """Return the difference of every output; infinite where it is missing."""
        return {
            name: output.difference(other.outputs[name]) if name in other.outputs else math.inf
            for name, output in self.outputs.items()
        }


def golden_picture(size: tuple[int, int], bands: int) -> npt.NDArray[np.uint8]:
    """Return the made-up picture: noise by a formula, the same on every machine.

    Shape:
        (height, width, bands).

    Example:
        >>> golden_picture((1, 2), 3).tolist()
        [[[104, 209, 83], [217, 92, 167]]]
    """
    x = np.arange(1, size[0] * size[1] * bands + 1, dtype=np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):  # "lowbias32", an integer hash
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    return (x >> np.uint32(24)).astype(np.uint8).reshape(*size, bands)


def probe_places(count: int) -> Tensor:
    """Return the flat indices at which an output of ``count`` values is kept."""
    steps = torch.arange(1, PROBES + 1, dtype=torch.float64)
    return (steps * 0.618033988749895 % 1 * count).long()  # the golden ratio spreads them evenly


def golden_outputs(
    model: Segmenter,
    *,
    size: tuple[int, int] = SIZE,
    state: Mapping[str, Tensor] | None = None,
) -> Golden:
    """Run a model in float32 and evaluation mode on the made-up picture.

    Args:
        model: stays as it is, its mode too.
        size: of the picture.
        state: weights to use in the place of the model's own.

    Raises:
        CheckpointError: an output is not finite.
    """
    image = model.preprocessing(golden_picture(size, model.preprocessing.in_channels))[None]
    weights = {
        f"model.{name}": tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in (model.state_dict() if state is None else state).items()
    }
    device = model.device
    with (
        evaluating(model),
        torch.inference_mode(),
        full_precision(device),
        torch.backends.cudnn.flags(allow_tf32=False),
    ):
        outputs = functional_call(_Outputs(model), weights, (image.to(device),))
    for name, output in outputs.items():
        if not output.isfinite().all():
            raise CheckpointError(
                f"the network's output {name!r} is not finite on a picture of noise; its weights "
                "are damaged or did not converge"
            )
    return Golden(size=size, outputs={name: GoldenOutput.of(t) for name, t in outputs.items()})


class _Outputs(nn.Module):
    """The outputs of a model by name."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features, size = self.model.features(images), (images.shape[-2], images.shape[-1])
        scores = self.model.classify(features, self.model.context.summarise(features), size)
        return {"features": features[-1]} | {name: s.logits() for name, s in scores.items()}
