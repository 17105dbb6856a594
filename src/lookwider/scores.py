"""Coarse class scores and how they upsample to the image.

The upsampled logits of a large image take far more memory than the network itself. Labels,
probabilities and the loss are therefore computed without them, exactly: by compiled kernels
(`lookwider.kernels.labels`, `lookwider.kernels.loss`, `lookwider.kernels.gpu`), or in strips of
rows, each upsampled when it is needed (`lookwider.kernels.strips`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from lookwider.classes import IGNORE_INDEX
from lookwider.errors import LookwiderError
from lookwider.kernels.strips import strip_probabilities
from lookwider.kernels.upsampled import (
    LossOptions,
    hardest_labels,
    upsampled_cross_entropy,
    upsampled_labels,
    upsampled_losses,
)
from lookwider.layers.modes import full_precision
from lookwider.layers.taps import Taps, check_taps, resample

Reduction = Literal["mean", "sum", "batch"]


def _itself(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """Class scores of a coarse grid, with the taps that take them to the image.

    Attributes:
        scores: (N, K, h, w), not softmaxed.
        rows: taps from h to the image's rows.
        cols: taps from w to the image's columns.

    Raises:
        LookwiderError: there is no class, or the taps are for scores of another size.
    """

    scores: Tensor
    rows: Taps
    cols: Taps

    def __post_init__(self) -> None:
        """Check what the kernels rely on: they read where the taps say, unchecked."""
        check_taps(self.scores, self.rows, self.cols)
        if self.num_classes < 1:
            raise LookwiderError(
                f"got scores of shape {tuple(self.scores.shape)}, expected (N, K, h, w) of at "
                "least one class"
            )

    @property
    def size(self) -> tuple[int, int]:
        """The image's (height, width)."""
        return len(self.rows), len(self.cols)

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return int(self.scores.shape[1])

    def logits(self) -> Tensor:
        """Return the upsampled scores.

        Shape:
            (N, K, H, W), in the dtype of the scores.
        """
        return resample(self.scores, self.rows, self.cols)

    def widened(self) -> ScoreMap:
        """Return the same in float32 or wider, where interpolation keeps what scores differ by."""
        return replace(self, scores=self.scores.to(self._dtype))

    def probabilities(self) -> Tensor:
        """Return the softmax over classes, computed in float32.

        Shape:
            (N, K, H, W) float32.
        """
        return strip_probabilities(self.scores, self.rows, self.cols)

    def labels(self, dtype: torch.dtype = torch.uint8) -> Tensor:
        """Return the class of the highest score of each pixel; the lower id where two are equal.

        Equal to ``self.logits().argmax(1)``. An infinite score counts as 1e30 or -1e30: infinity
        itself has no interpolation.

        Args:
            dtype: uint8, for at most 256 classes, or int64.

        Shape:
            (N, H, W) of ``dtype``.

        Raises:
            LookwiderError: a score is NaN; or the dtype cannot hold the classes.
        """
        if dtype not in (torch.uint8, torch.int64):
            raise LookwiderError(f"got labels of {dtype}, expected torch.uint8 or torch.int64")
        if dtype == torch.uint8 and self.num_classes > 256:
            raise LookwiderError(
                f"got {self.num_classes} classes, of which uint8 holds 256; "
                "use labels(dtype=torch.int64)"
            )
        return upsampled_labels(self.scores.detach(), self.rows, self.cols, dtype)

    def cross_entropy(
        self,
        labels: Tensor,
        *,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        hardest: float | None = None,
        add_up: Callable[[Tensor], Tensor] = _itself,
        choose: Callable[[Tensor, Tensor, float, int], Tensor] = hardest_labels,
    ) -> Tensor:
        """Return the cross entropy of the upsampled scores, in float32 also under autocast.

        Equal to ``torch.nn.functional.cross_entropy(self.logits(), labels, ...)`` in value and
        gradient, and differentiable twice (in float64, to any order).

        Args:
            labels: (N, H, W) of any integer dtype.
            weight: (K,) class weights.
            ignore_index: label of pixels that do not count.
            reduction: ``"mean"`` over the valid pixels, by their weight (0 when there are none);
                ``"sum"``; ``"batch"``: the sum divided by N, as Caffe's ``normalize: false``
                in the released FCN and ParseNet.
            label_smoothing: share of the target spread evenly over the classes, from 0 to 1.
            hardest: share of the batch's valid pixels that count, those of highest loss (online
                hard example mining, Shrivastava et al. 2016); all, if not given.
            add_up: of a batch that is spread over processes, what adds up their numbers of valid
                pixels, or the weight of these, which ``"mean"`` divides by.
            choose: of such a batch, what chooses the hardest pixels; as `hardest_labels`.

        Returns:
            A scalar.

        Raises:
            LookwiderError: the labels have another shape or are no integers, or one is neither a
                class nor ignored; the weights are not one for each class; the reduction or a
                share is none.
        """
        expected = (self.scores.shape[0], *self.size)
        if tuple(labels.shape) != expected:
            raise LookwiderError(f"got labels of shape {tuple(labels.shape)}, expected {expected}")
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise LookwiderError(
                f"got labels of {labels.dtype}, expected integers: convert them by .long()"
            )
        labels = labels.long()  # in narrow ones no comparison with ignore_index=-1 holds
        if weight is not None and tuple(weight.shape) != (self.num_classes,):
            raise LookwiderError(
                f"got class weights of shape {tuple(weight.shape)}, expected "
                f"({self.num_classes},): one for each class"
            )
        if not 0 <= label_smoothing <= 1:
            raise LookwiderError(
                f"got label_smoothing={label_smoothing}, expected a share from 0 to 1"
            )
        if reduction not in ("mean", "sum", "batch"):
            raise LookwiderError(f"got reduction {reduction!r}, expected 'mean', 'sum' or 'batch'")
        with full_precision(self.scores.device):
            if weight is not None:
                weight = weight.to(self.scores.device, self._dtype)
            options = LossOptions(
                weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing
            )
            maps = (self.scores, self.rows, self.cols)
            if hardest is not None:
                losses = upsampled_losses(*maps, labels, **options)
                labels = choose(losses, labels, hardest, ignore_index)
            total = upsampled_cross_entropy(*maps, labels, **options)
            if reduction == "sum":
                return total
            if reduction == "batch":
                return total / labels.shape[0]
            return total / _mean_divisor(labels, weight, ignore_index, add_up)

    @property
    def _dtype(self) -> torch.dtype:
        return torch.promote_types(self.scores.dtype, torch.float32)


def _mean_divisor(
    labels: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    add_up: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the weight of the valid pixels, or 1 where there are none; without a wait."""
    valid = labels != ignore_index
    count = add_up(valid.sum())
    if weight is None:
        return count.clamp(min=1)
    # on a GPU a label that is no class makes the loss NaN: it must not fail here
    known = torch.where(valid, labels, 0).clamp(0, len(weight) - 1)
    if labels.device.type == "cpu":
        # counts are the same in any order, and so the bits for any number of threads
        pixels = torch.zeros(len(weight), dtype=torch.int64)
        pixels.scatter_add_(0, known.flatten(), valid.flatten().long())
        total = (pixels * weight.double()).sum().to(weight.dtype)
    else:  # where additions to few places wait for each other
        total = (weight[known] * valid).sum()
    return torch.where(count == 0, 1, add_up(total))
