"""Coarse class scores and how they upsample to the image.

The upsampled logits of a large image take far more memory than the network itself. Labels,
probabilities and the loss are therefore computed in strips of rows, each upsampled when it is
needed: exact, and never larger than a strip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lookwider.classes import IGNORE_INDEX
from lookwider.errors import LookwiderError
from lookwider.layers.modes import full_precision
from lookwider.layers.taps import Taps, resample

Reduction = Literal["mean", "sum", "batch"]

STRIP_BYTES = 16 * 2**20
"""About how much upsampled float32 a strip holds."""


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """Class scores of a coarse grid, with the taps that take them to the image.

    Attributes:
        scores: (N, K, h, w), not softmaxed.
        rows: taps from h to the image's rows.
        cols: taps from w to the image's columns.
    """

    scores: Tensor
    rows: Taps
    cols: Taps

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

    def probabilities(self) -> Tensor:
        """Return the softmax over classes, computed in float32.

        Shape:
            (N, K, H, W) float32.
        """
        batch = self.scores.shape[0]
        result = self.scores.new_empty((batch, self.num_classes, *self.size), dtype=torch.float32)
        for strip in self._strips():
            result[:, :, strip] = self._strip_logits(self.scores, strip).softmax(1)
        return result

    def labels(self) -> Tensor:
        """Return the class of the highest score of each pixel; the lower id where two are equal.

        Shape:
            (N, H, W) uint8.

        Raises:
            LookwiderError: a score is NaN.
        """
        if torch.isnan(self.scores).any():
            raise LookwiderError(
                "the network's scores hold NaN; the weights or the image are damaged"
            )
        scores = self.scores.detach()
        result = scores.new_empty((scores.shape[0], *self.size), dtype=torch.uint8)
        for strip in self._strips():
            result[:, strip] = self._strip_logits(scores, strip).argmax(1)
        return result

    def cross_entropy(
        self,
        labels: Tensor,
        *,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Return the cross entropy of the upsampled scores, in float32 also under autocast.

        Equal to ``torch.nn.functional.cross_entropy(self.logits(), labels, ...)`` in value and
        gradient. Each strip is computed again in the backward pass instead of being kept.

        Args:
            labels: (N, H, W) int64.
            weight: (K,) class weights.
            ignore_index: label of pixels that do not count.
            reduction: ``"mean"`` over the valid pixels, by their weight (0 when there are none);
                ``"sum"``; ``"batch"``: the sum divided by N, as Caffe's ``normalize: false``
                in the released FCN and ParseNet.
            label_smoothing: share of the target spread evenly over the classes.

        Returns:
            A scalar.
        """
        expected = (self.scores.shape[0], *self.size)
        if tuple(labels.shape) != expected:
            raise LookwiderError(f"got labels of shape {tuple(labels.shape)}, expected {expected}")
        if reduction not in ("mean", "sum", "batch"):
            raise LookwiderError(f"got reduction {reduction!r}, expected 'mean', 'sum' or 'batch'")
        with full_precision(self.scores.device):
            if weight is not None:
                weight = weight.to(self.scores.device, self._dtype)

            def strip_loss(scores: Tensor, strip: slice) -> Tensor:
                return functional.cross_entropy(
                    self._strip_logits(scores, strip),
                    labels[:, strip],
                    weight=weight,
                    ignore_index=ignore_index,
                    reduction="sum",
                    label_smoothing=label_smoothing,
                )

            losses = [
                checkpoint(
                    strip_loss, self.scores, strip, use_reentrant=False, preserve_rng_state=False
                )
                for strip in self._strips()
            ]
            total = torch.stack(losses).sum()
            if reduction == "sum":
                return total
            if reduction == "batch":
                return total / labels.shape[0]
            valid = labels[labels != ignore_index]
            if valid.numel() == 0:
                return total
            return total / (valid.numel() if weight is None else weight[valid].sum())

    @property
    def _dtype(self) -> torch.dtype:
        return torch.promote_types(self.scores.dtype, torch.float32)

    def _strips(self) -> Iterator[slice]:
        row_bytes = 4 * self.scores.shape[0] * self.num_classes * len(self.cols)
        height = max(1, STRIP_BYTES // max(1, row_bytes))
        for start in range(0, len(self.rows), height):
            yield slice(start, min(start + height, len(self.rows)))

    def _strip_logits(self, scores: Tensor, strip: slice) -> Tensor:
        """Return some rows of the logits in float32 (float64 stays): (N, K, rows, W)."""
        used, rows = self.rows[strip].narrowed()
        return resample(scores[:, :, used].to(self._dtype), rows, self.cols)
