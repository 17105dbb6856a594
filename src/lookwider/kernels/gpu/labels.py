"""Labels of upsampled scores without the upsampled scores, on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from lookwider.errors import LookwiderError
from lookwider.kernels.gpu.cells import device_cells
from lookwider.kernels.gpu.kernels import label_kernel
from lookwider.kernels.gpu.launch import Launch, launched, pixel_blocks
from lookwider.layers.taps import Taps

INFINITY = 1e30
"""An infinite score counts as this much, as on the CPU."""


def upsampled_labels(scores: Tensor, rows: Taps, cols: Taps, dtype: torch.dtype) -> Tensor:
    """Return the class of the highest upsampled score of each pixel; the lowest id where equal.

    The weighted sums are those of `resample` in float32, operation by operation, so the labels
    are those of the plain form bit for bit. A NaN is looked for after the labels are under way;
    that waits for the device, so it is left out while a CUDA graph is captured.

    Args:
        scores: any floating dtype below float64; channels-last is what is read without a copy.
        rows: taps from h to H.
        cols: taps from w to W.
        dtype: uint8 or int64.

    Shape:
        (N, K, h, w) -> (N, H, W) of ``dtype``.

    Raises:
        LookwiderError: a score is NaN.
    """
    labels: Tensor = _labels(scores, list(rows.tensors()), list(cols.tensors()), dtype)
    return labels


@torch.library.custom_op("lookwider::gpu_upsampled_labels", mutates_args=())
def _labels(scores: Tensor, rows: list[Tensor], cols: list[Tensor], dtype: torch.dtype) -> Tensor:
    batch, num_classes, h, w = scores.shape
    height, width = len(rows[0]), len(cols[0])
    result = torch.empty((batch, height, width), dtype=dtype, device=scores.device)
    if result.numel() == 0:
        return result
    row_cells = device_cells(rows, h, scores.device)
    col_cells = device_cells(cols, w, scores.device)
    maps = scores.permute(0, 2, 3, 1).contiguous()
    pixels, programs = pixel_blocks(scores.shape, height, width)

    def run(launch: Launch) -> None:
        label_kernel[(h * w, batch, programs)](
            maps,
            row_cells.starts,
            row_cells.weights,
            col_cells.starts,
            col_cells.weights,
            result,
            h,
            w,
            height,
            width,
            num_classes,
            INFINITY,
            pixel_block=pixels,
            class_block=launch.classes,
            num_warps=launch.warps,
            enable_fp_fusion=False,  # a * b + c is rounded twice, as in the plain form
        )

    launched("labels", scores, pixels, run, exact=True)
    if not (scores.is_cuda and torch.cuda.is_current_stream_capturing()):
        _refuse_nan(maps)
    return result


@_labels.register_fake
def _(scores: Tensor, rows: list[Tensor], cols: list[Tensor], dtype: torch.dtype) -> Tensor:
    return scores.new_empty((scores.shape[0], len(rows[0]), len(cols[0])), dtype=dtype)


def _refuse_nan(scores: Tensor) -> None:
    if torch.isnan(scores).any():
        raise LookwiderError("the network's scores hold NaN; the weights or the image are damaged")
