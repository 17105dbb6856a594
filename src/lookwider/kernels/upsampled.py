"""Labels and losses of upsampled scores by the fastest form there is for a device.

Compiled loops on the CPU, Triton on a GPU; strips of rows elsewhere, in float64, where a graph is
exported or an operator is traced by tensors of another kind, and where a path is switched off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypedDict, Unpack

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from lookwider.errors import LookwiderError
from lookwider.kernels import labels as cpu_labels
from lookwider.kernels import loss as cpu_loss
from lookwider.kernels import strips
from lookwider.kernels.switches import enabled, numba_enabled, triton_enabled
from lookwider.layers.taps import Taps

Form = Literal["cpu", "gpu", "plain"]


class LossOptions(TypedDict):
    """Keywords of a loss.

    Attributes:
        weight: (K,) class weights.
        ignore_index: label of pixels that do not count.
        label_smoothing: share of the target spread evenly over the classes.
    """

    weight: Tensor | None
    ignore_index: int
    label_smoothing: float


def upsampled_labels(scores: Tensor, rows: Taps, cols: Taps, dtype: torch.dtype) -> Tensor:
    """Return the class of the highest upsampled score of each pixel; the lowest id where equal.

    Shape:
        (N, K, h, w) -> (N, H, W) of ``dtype``, uint8 or int64.

    Raises:
        LookwiderError: a score is NaN.
    """
    form = _form("labels", scores)
    if form == "cpu" and cpu_labels.provable(rows, cols):
        return cpu_labels.upsampled_labels(scores, rows, cols, dtype)
    if form == "gpu":
        from lookwider.kernels.gpu import labels as gpu_labels

        return gpu_labels.upsampled_labels(scores, rows, cols, dtype)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))  # float16 holds no 1e30
    return strips.strip_labels(cpu_labels.finite_scores(scores), rows, cols, dtype)


def upsampled_cross_entropy(
    scores: Tensor, rows: Taps, cols: Taps, labels: Tensor, **options: Unpack[LossOptions]
) -> Tensor:
    """Return the sum of the pixels' cross entropies, differentiable in the scores.

    Raises:
        LookwiderError: on the CPU, a label is neither a class nor ignored.
    """
    form = _form("loss", scores)
    if form == "cpu":
        return cpu_loss.upsampled_cross_entropy(scores, rows, cols, labels, **options)
    if form == "gpu":
        from lookwider.kernels.gpu import loss as gpu_loss

        return gpu_loss.upsampled_cross_entropy(scores, rows, cols, labels, **options)
    _check_plain(scores, labels, options)
    return strips.strip_cross_entropy(scores, rows, cols, labels, **options)


def upsampled_losses(
    scores: Tensor, rows: Taps, cols: Taps, labels: Tensor, **options: Unpack[LossOptions]
) -> Tensor:
    """Return the cross entropy of each pixel, without a gradient; 0 where it is ignored.

    Shape:
        (N, K, h, w) -> (N, H, W).

    Raises:
        LookwiderError: on the CPU, a label is neither a class nor ignored.
    """
    form = _form("loss", scores)
    if form == "cpu":
        return cpu_loss.upsampled_losses(scores, rows, cols, labels, **options)
    if form == "gpu":
        from lookwider.kernels.gpu import loss as gpu_loss

        return gpu_loss.upsampled_losses(scores, rows, cols, labels, **options)
    _check_plain(scores, labels, options)
    return strips.strip_losses(scores, rows, cols, labels, **options)


def hardest_labels(losses: Tensor, labels: Tensor, share: float, ignore_index: int) -> Tensor:
    """Return the labels with ignore but for the share of the valid pixels of highest loss.

    Online hard example mining (Shrivastava et al. 2016) over pixels. At least one pixel stays;
    of equal losses the first pixels stay.

    Shape:
        losses, labels: (N, H, W) -> (N, H, W) int64.

    Raises:
        LookwiderError: the share is not above 0 and at most 1.

    Example:
        >>> losses = torch.tensor([[[0.5, 2.0, 0.5, 0.0]]])
        >>> hardest_labels(losses, torch.tensor([[[3, 1, 2, 255]]]), 0.5, 255)
        tensor([[[  3,   1, 255, 255]]])
    """
    valid = labels != ignore_index
    result = labels.clone()
    result[valid] = torch.where(hardest(losses[valid], share), labels[valid], ignore_index)
    return result


def hardest(losses: Tensor, share: float) -> Tensor:
    """Return which losses belong to the share of the highest; see `hardest_labels`.

    Shape:
        (P,) -> (P,) bool.

    Raises:
        LookwiderError: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise LookwiderError(f"got hardest={share}, expected a share above 0 and at most 1")
    if len(losses) == 0:
        return losses.isnan()
    count = max(1, math.ceil(share * len(losses)))
    least = losses.kthvalue(len(losses) + 1 - count).values
    harder = ~(losses <= least)  # NaN too: it must be seen in the loss
    equal = losses == least
    return harder | (equal & (equal.cumsum(0) <= count - harder.sum()))


def _form(path: Literal["labels", "loss"], scores: Tensor) -> Form:
    if (
        scores.dtype == torch.float64
        or has_torch_function((scores,))
        or torch.compiler.is_exporting()
    ):
        return "plain"
    return _form_on(path, scores.device.type)


def _form_by_switches(path: Literal["labels", "loss"], device: str) -> Form:
    if not enabled(path):
        return "plain"
    if device == "cpu":
        return "cpu" if numba_enabled() else "plain"
    return "gpu" if device == "cuda" and triton_enabled() else "plain"


Chooser = Callable[[Literal["labels", "loss"], str], Form]
constant: Callable[[Chooser], Chooser] = torch.compiler.assume_constant_result
_form_on = constant(_form_by_switches)
"""The same; a compiled graph keeps the form that it was traced with."""


def _check_plain(scores: Tensor, labels: Tensor, options: LossOptions) -> None:
    # elsewhere it would have to wait for the device, which reports such a label itself
    if scores.device.type == "cpu" and not torch.compiler.is_compiling():
        cpu_loss.check_labels(labels, scores.shape[1], options["ignore_index"])
