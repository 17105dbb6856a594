"""The parts of a model's parameters: which are new, how many there are, starting from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from lookwider.errors import CheckpointError
from lookwider.models.segmenter import Segmenter

Role = Literal["trunk", "new"]
"""``"trunk"`` layers come from a classifier, ``"new"`` ones were added for segmentation."""


def parameter_roles(model: Segmenter) -> dict[str, Role]:
    """Return the role of each parameter by name."""
    return {
        name: "trunk" if name.startswith("backbone.") else "new"
        for name, _ in model.named_parameters()
    }


@dataclass(frozen=True)
class ParameterCount:
    """How many numbers a model is.

    Attributes:
        learned: parameters.
        fixed: weights of fixed bilinear filters and scales, which the released networks store
            and count, and lookwider computes.
    """

    learned: int
    fixed: int

    @property
    def total(self) -> int:
        """The count that the releases state."""
        return self.learned + self.fixed


def count_parameters(model: Segmenter) -> ParameterCount:
    """Count a model's parameters as the releases do.

    Example:
        >>> from lookwider.models import create_model
        >>> count_parameters(create_model("fcn32s", backbone="resnet18", num_classes=2)).learned
        11177538
    """
    learned = sum(parameter.numel() for parameter in model.parameters())
    return ParameterCount(learned, sum(head.fixed_weights for head in model.segmentation_heads()))


def initialise_from(model: Segmenter, source: Segmenter) -> list[str]:
    """Copy everything that two models share: FCN-16s starts from FCN-32s, FCN-8s from FCN-16s.

    Returns:
        The names of the tensors of ``model`` that the source lacks and that stay as they were,
        such as the new skip's score layer, which starts at zero.

    Raises:
        CheckpointError: the trunks differ, or a shared tensor has another shape.
    """
    own, given = model.state_dict(), source.state_dict()
    shared = own.keys() & given.keys()
    misfits = [
        f"{name}: got {tuple(given[name].shape)}, expected {tuple(own[name].shape)}"
        for name in sorted(shared)
        if own[name].shape != given[name].shape
    ]
    missing_trunk = [n for n in own if n.startswith("backbone.") and n not in given]
    if misfits or missing_trunk:
        problems = misfits + [f"{name}: missing" for name in missing_trunk]
        raise CheckpointError(
            "cannot start from this model, its trunk or classes differ: " + "; ".join(problems[:5])
        )
    with torch.no_grad():
        for name in shared:
            own[name].copy_(given[name])
    return sorted(own.keys() - shared)
