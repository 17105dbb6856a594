"""Cross entropy of upsampled scores without the upsampled scores, on the CPU.

One pass over the pixels computes the loss and its gradient in the coarse scores: each row of
pixels is interpolated a few pixels at a time, softmaxed, and its gradient returned to the coarse
grid by the transposed taps. The backward pass only multiplies by what came from above. A second
derivative goes through the plain form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lookwider.classes import IGNORE_INDEX
from lookwider.errors import LookwiderError
from lookwider.kernels.strips import strip_cross_entropy
from lookwider.kernels.threads import in_row_blocks
from lookwider.layers.taps import Taps


def upsampled_cross_entropy(
    scores: Tensor,
    rows: Taps,
    cols: Taps,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the SUM over the valid pixels of the cross entropy, differentiable in the scores.

    As ``functional.cross_entropy(resample(scores.float(), rows, cols), labels, weight,
    reduction="sum", ...)``; twice differentiable (by the plain form).

    Args:
        scores: any floating dtype below float64; computed in float32.
        rows: taps from h to H.
        cols: taps from w to W.
        labels: (N, H, W) int64.
        weight: (K,) float32 class weights.
        ignore_index: label of pixels that do not count.
        label_smoothing: share of the target spread evenly over the classes.

    Returns:
        A float32 scalar; 0 when no pixel is valid.

    Raises:
        LookwiderError: a label is neither a class nor ignored.
    """
    wanted = scores.requires_grad and torch.is_grad_enabled()
    result: tuple[Tensor, Tensor] = _cross_entropy(
        scores.to(torch.float32),
        [*rows.tensors(), *cols.tensors()],
        labels,
        weight,
        ignore_index,
        label_smoothing,
        wanted,
    )
    return result[0]


def upsampled_losses(
    scores: Tensor,
    rows: Taps,
    cols: Taps,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross entropy of each pixel, without a gradient: to choose the hardest by.

    Shape:
        (N, K, h, w) -> (N, H, W) float32, 0 where the label is ignored.

    Raises:
        LookwiderError: a label is neither a class nor ignored.
    """
    taps = [*rows.tensors(), *cols.tensors()]
    scores = scores.detach().to(torch.float32)
    losses: Tensor = _losses(scores, taps, labels, weight, ignore_index, label_smoothing)
    return losses


def check_labels(labels: Tensor, classes: int, ignore_index: int) -> None:
    """Check that each label is a class or ignored.

    Raises:
        LookwiderError: naming a label that is not.
    """
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != ignore_index)]
    if wrong.numel():
        raise LookwiderError(
            f"got a label {int(wrong[0])}, expected 0..{classes - 1} or {ignore_index} (ignored); "
            "does the model have as many classes as the labels?"
        )


@torch.library.custom_op("lookwider::upsampled_cross_entropy", mutates_args=(), device_types="cpu")
def _cross_entropy(
    scores: Tensor,
    taps: list[Tensor],
    labels: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    with_gradient: bool,
) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses and its gradient in the scores (or zeros)."""
    losses, gradient = _computed(
        scores, taps, labels, weight, ignore_index, label_smoothing, with_gradient
    )
    return losses.sum(dtype=torch.float64).to(torch.float32), gradient


@_cross_entropy.register_fake
def _(scores: Tensor, *_arguments: Any) -> tuple[Tensor, Tensor]:
    gradient = torch.empty_like(scores, memory_format=torch.channels_last)
    return scores.new_empty(()), gradient


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    scores, taps, labels, weight, ctx.ignore_index, ctx.label_smoothing, _ = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(scores, labels, weight, output[1], *taps)


def _backward(
    ctx: Any, grad_total: Tensor | None, _grad_gradient: None
) -> tuple[Tensor | list[None] | None, ...]:
    scores, labels, weight, gradient, *taps = ctx.saved_tensors
    if torch.is_grad_enabled():  # the gradient itself will be differentiated
        total = strip_cross_entropy(
            scores,
            Taps(scores.shape[2], *taps[:4]),
            Taps(scores.shape[3], *taps[4:]),
            labels,
            weight=weight,
            ignore_index=ctx.ignore_index,
            label_smoothing=ctx.label_smoothing,
        )
        (gradient,) = torch.autograd.grad(total, scores, create_graph=True)
    result = None if grad_total is None else grad_total * gradient
    return result, [None] * len(taps), None, None, None, None, None


_cross_entropy.register_autograd(_backward, setup_context=_remember)


@torch.library.custom_op("lookwider::upsampled_losses", mutates_args=(), device_types="cpu")
def _losses(
    scores: Tensor,
    taps: list[Tensor],
    labels: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
) -> Tensor:
    """Return the loss of each pixel."""
    return _computed(scores, taps, labels, weight, ignore_index, label_smoothing, False)[0]


@_losses.register_fake
def _(scores: Tensor, taps: list[Tensor], labels: Tensor, *_arguments: Any) -> Tensor:
    return scores.new_empty(labels.shape)


def _computed(
    scores: Tensor,
    taps: list[Tensor],
    labels: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    with_gradient: bool,
) -> tuple[Tensor, Tensor]:
    from lookwider.kernels.compiled_loss import cells_loss

    batch, classes, height, width = scores.shape
    maps = scores.detach().permute(0, 2, 3, 1).contiguous().numpy()
    row_low, row_high, *row_weights, col_low, col_high = (taps[i].numpy() for i in range(6))
    edges = np.flatnonzero(np.diff(row_low, prepend=-1, append=scores.shape[2]))
    losses = torch.empty(labels.shape, dtype=torch.float32)
    copies = batch if with_gradient else 0
    gradients = [np.zeros((copies, height, width, classes), np.float32) for _ in range(2)]
    classes_weight = torch.ones(classes) if weight is None else weight.to(torch.float32)
    in_row_blocks(
        cells_loss,
        batch * (len(edges) - 1),
        maps,
        edges,
        (row_low, row_high),
        tuple(values.astype(np.float32) for values in row_weights),
        (col_low, col_high),
        tuple(taps[i].to(torch.float32).numpy() for i in (6, 7)),
        labels.contiguous().numpy(),
        classes_weight.contiguous().numpy(),
        ignore_index,
        np.float32(label_smoothing),
        losses.numpy(),
        tuple(gradients),
    )
    if torch.isnan(losses).any():
        check_labels(labels, classes, ignore_index)
    if not with_gradient:
        return losses, torch.zeros_like(scores, memory_format=torch.channels_last)
    gradients[0] += gradients[1]
    return losses, torch.from_numpy(gradients[0]).permute(0, 3, 1, 2)
