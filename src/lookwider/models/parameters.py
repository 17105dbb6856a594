"""The parts of a model's parameters: which are new, how many there are, starting from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from lookwider.errors import CheckpointError
from lookwider.layers.deconvolution import LearnedDeconvolution
from lookwider.layers.l2_norm import L2Norm
from lookwider.models.registry import effective_options
from lookwider.models.segmenter import Segmenter

Role = Literal["trunk", "new"]
"""``"trunk"`` layers learn at the base rate: those of the classifier, and what starts from a value
that already works, deconvolutions and scales of L2 normalisations; ``"new"`` ones were added for
segmentation and may learn faster."""


def parameter_roles(model: Segmenter) -> dict[str, Role]:
    """Return the role of each parameter by name."""
    ready = tuple(
        f"{name}."
        for name, module in model.named_modules()
        if name == "backbone" or isinstance(module, (L2Norm, LearnedDeconvolution))
    )
    return {
        name: "trunk" if name.startswith(ready) else "new" for name, _ in model.named_parameters()
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


MEANING = ("bins", "pooling", "stride_on", "dilation")
"""Options that change what a model does with the same weights, and which no image shows."""


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

    What the weights expect of an image comes along. A head for another number of classes keeps
    the layers whose size depends on it as they were initialised.

    Returns:
        The names of the tensors of ``model`` that stay as they were: those that the source
        lacks, such as the new skip's score layer, which starts at zero, and those of other
        classes.

    Raises:
        CheckpointError: the trunks differ, a shared tensor has another shape, or an option
            differs that gives the same tensors another meaning.
    """
    _check_meaning(model, source)
    own, given = model.state_dict(), source.state_dict()
    shared = {
        name
        for name in own.keys() & given.keys()
        if not _differs_by_classes(name, model, source, own[name].shape, given[name].shape)
    }
    misfits = [
        f"{name}: got {tuple(given[name].shape)}, expected {tuple(own[name].shape)}"
        for name in sorted(shared)
        if own[name].shape != given[name].shape
    ]
    missing_trunk = [n for n in own if n.startswith("backbone.") and n not in given]
    if misfits or missing_trunk:
        problems = misfits + [f"{name}: missing" for name in missing_trunk]
        raise CheckpointError(
            "cannot start from this model, its trunk or heads differ: " + "; ".join(problems[:5])
        )
    with torch.no_grad():
        for name in shared:
            own[name].copy_(given[name])
    model.backbone.preprocessing = source.preprocessing
    return sorted(own.keys() - shared)


def _check_meaning(model: Segmenter, source: Segmenter) -> None:
    """Refuse weights that fit by their shapes and mean something else."""
    if model.architecture.get("name") != source.architecture.get("name"):
        return
    own, given = effective_options(model.architecture), effective_options(source.architecture)
    different = [name for name in MEANING if own.get(name) != given.get(name)]
    if different:
        wanted = " ".join(f"{name}={_setting(given[name])}" for name in different)
        got = " ".join(f"{name}={_setting(own[name])}" for name in different)
        raise CheckpointError(
            f"cannot start from this model: its weights were trained with {wanted}, got {got}; "
            f"give {wanted}"
        )


def _setting(value: object) -> str:
    """Return an option's value as it is given on the command line."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _differs_by_classes(
    name: str, model: Segmenter, source: Segmenter, own: torch.Size, given: torch.Size
) -> bool:
    """Whether a head's tensor has another shape only for having other classes."""
    if own == given or not name.startswith("heads.") or len(own) != len(given):
        return False
    head = name.split(".")[1]
    counts = tuple(len(m.extra_classes.get(head, m.classes)) for m in (model, source))
    return all(a == b or (a, b) == counts for a, b in zip(own, given, strict=True))
