"""Cross entropy of the upsampled scores without the upsampled scores, on a GPU.

The forward keeps log(sum(exp(scores))) of each pixel, 4 bytes; the backward computes the softmax
again from it. No atomic additions: the gradient is the same bits each time.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from lookwider.classes import IGNORE_INDEX
from lookwider.kernels.gpu.cells import device_cells
from lookwider.kernels.gpu.kernels import gradient_kernel, loss_kernel
from lookwider.kernels.gpu.launch import Launch, launched, pixel_blocks
from lookwider.kernels.strips import strip_cross_entropy
from lookwider.layers.modes import full_precision
from lookwider.layers.taps import Taps

LEAST_PIXELS = 4
"""Pixels for each score place below which the plain form is used: the backward takes four times
the memory of the scores, which pays only where the logits are larger."""


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
    reduction="sum", ...)``; twice differentiable (by the plain form). A label that is neither a
    class nor ignored makes the loss NaN: an error would have to wait for the device.

    Args:
        scores: any floating dtype below float64; computed in float32.
        rows: taps from h to H.
        cols: taps from w to W.
        labels: (N, H, W) int64.
        weight: (K,) float32 class weights, on the scores' device.
        ignore_index: label of pixels that do not count.
        label_smoothing: share of the target spread evenly over the classes.

    Returns:
        A float32 scalar; 0 when no pixel is valid.
    """
    if len(rows) * len(cols) < LEAST_PIXELS * scores.shape[2] * scores.shape[3]:
        return strip_cross_entropy(
            scores,
            rows,
            cols,
            labels,
            weight=weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        )
    taps = [*rows.tensors(), *cols.tensors()]
    total: Tensor = _cross_entropy(scores, taps, labels, weight, ignore_index, label_smoothing)[0]
    return total


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
    """
    taps = [*rows.tensors(), *cols.tensors()]
    options = (ignore_index, label_smoothing)
    losses: Tensor = _losses(scores.detach(), taps, labels, weight, *options)[0]
    return losses


@torch.library.custom_op("lookwider::gpu_upsampled_losses", mutates_args=())
def _losses(
    scores: Tensor,
    taps: list[Tensor],
    labels: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
) -> tuple[Tensor, Tensor]:
    """Return each pixel's loss and log(sum(exp(scores)))."""
    batch, _, h, w = scores.shape
    losses = torch.zeros(labels.shape, dtype=torch.float32, device=scores.device)
    normalisers = torch.empty_like(losses)
    maps, labels, (pixels, programs), numbers = _prepared(scores, taps, labels)
    class_weights, _ = _class_weights(scores, weight)

    def run(launch: Launch) -> None:
        loss_kernel[(h * w, batch, programs)](
            maps,
            *_cells(scores, taps),
            labels,
            class_weights,
            losses,
            normalisers,
            *numbers,
            ignore_index,
            label_smoothing,
            smooth=label_smoothing != 0,
            pixel_block=pixels,
            class_block=launch.classes,
            num_warps=launch.warps,
        )

    if losses.numel():
        launched("loss", scores, pixels, run)
    return losses, normalisers


@_losses.register_fake
def _(scores: Tensor, taps: list[Tensor], labels: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    losses = scores.new_empty(labels.shape, dtype=torch.float32)
    return losses, torch.empty_like(losses)


@torch.library.custom_op("lookwider::gpu_upsampled_cross_entropy", mutates_args=())
def _cross_entropy(
    scores: Tensor,
    taps: list[Tensor],
    labels: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses and each pixel's log(sum(exp(scores)))."""
    losses, normalisers = _losses(scores, taps, labels, weight, ignore_index, label_smoothing)
    return losses.sum(), normalisers


@_cross_entropy.register_fake
def _(scores: Tensor, taps: list[Tensor], labels: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    total = scores.new_empty((), dtype=torch.float32)
    return total, scores.new_empty(labels.shape, dtype=torch.float32)


@torch.library.custom_op("lookwider::gpu_upsampled_cross_entropy_gradient", mutates_args=())
def _gradient(
    outer: Tensor,
    scores: Tensor,
    taps: list[Tensor],
    labels: Tensor,
    weight: Tensor | None,
    normalisers: Tensor,
    ignore_index: int,
    label_smoothing: float,
) -> Tensor:
    """Return the gradient of the scores, given that of the sum."""
    batch, num_classes, h, w = scores.shape
    shape = (4, batch, h, w, num_classes)
    shares = torch.empty(shape, dtype=torch.float32, device=scores.device)
    maps, labels, (pixels, _), numbers = _prepared(scores, taps, labels)
    class_weights, weight_sum = _class_weights(scores, weight)

    def run(launch: Launch) -> None:
        gradient_kernel[(h * w, batch, -(-num_classes // launch.classes))](
            maps,
            *_cells(scores, taps),
            labels,
            class_weights,
            weight_sum,
            normalisers,
            outer,
            shares,
            shares[0].numel(),
            *numbers,
            ignore_index,
            label_smoothing,
            pixel_block=pixels,
            class_block=launch.classes,
            num_warps=launch.warps,
        )

    if shares.numel():
        launched("gradient", scores, pixels, run)
    return shares.sum(0).to(scores.dtype).permute(0, 3, 1, 2)


@_gradient.register_fake
def _(outer: Tensor, scores: Tensor, *_: Any) -> Tensor:
    batch, num_classes, h, w = scores.shape
    return scores.new_empty((batch, h, w, num_classes)).permute(0, 3, 1, 2)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    scores, taps, labels, weight, ctx.ignore_index, ctx.label_smoothing = inputs
    ctx.save_for_backward(scores, labels, weight, output[1], *taps)
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: Any, outer: Tensor, _: Tensor | None) -> tuple[Any, ...]:
    scores, labels, weight, normalisers, *taps = ctx.saved_tensors
    options = (ctx.ignore_index, ctx.label_smoothing)
    if torch.is_grad_enabled():  # the gradient will be differentiated itself
        gradient = _plain_gradient(outer, scores, taps, labels, weight, *options)
    else:
        gradient = _gradient(outer, scores, taps, labels, weight, normalisers, *options)
    return gradient, [None] * len(taps), None, None, None, None


_cross_entropy.register_autograd(_backward, setup_context=_keep)


def _plain_gradient(
    outer: Tensor,
    scores: Tensor,
    taps: list[Tensor],
    labels: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
) -> Tensor:
    with full_precision(scores.device):
        total = strip_cross_entropy(
            scores,
            Taps(scores.shape[2], *taps[:4]),
            Taps(scores.shape[3], *taps[4:]),
            labels,
            weight=weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        )
        return torch.autograd.grad(total, scores, outer, create_graph=True)[0]


def _prepared(
    scores: Tensor, taps: list[Tensor], labels: Tensor
) -> tuple[Tensor, Tensor, tuple[int, int], tuple[int, ...]]:
    """Return what both kernels take: maps, labels, blocks of pixels; h, w, height, width, K."""
    height, width = len(taps[0]), len(taps[4])
    maps = scores.permute(0, 2, 3, 1).contiguous()
    blocks = pixel_blocks(scores.shape, height, width)
    numbers = (*scores.shape[2:], height, width, scores.shape[1])
    return maps, labels.contiguous(), blocks, numbers


def _cells(scores: Tensor, taps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows = device_cells(taps[:4], scores.shape[2], scores.device)
    cols = device_cells(taps[4:], scores.shape[3], scores.device)
    return rows.starts, rows.weights, cols.starts, cols.weights


def _class_weights(scores: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the weight of each class, and their sum."""
    if weight is None:
        return _equal_weights(scores.shape[1], scores.device)
    weight = weight.to(scores.device, torch.float32).contiguous()
    return weight, weight.sum()


@functools.cache
def _equal_weights(num_classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    # made on the CPU: a CUDA graph under capture must refuse it, not keep it to itself
    ones = torch.ones(num_classes, dtype=torch.float32)
    return ones.to(device), ones.sum().to(device)
