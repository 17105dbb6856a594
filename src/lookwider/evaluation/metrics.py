"""The four metrics of FCN (section 5) as ratios of pixel counts, and the counts themselves.

With n_ij the pixels of class i predicted as class j, t_i = sum_j n_ij and K classes:

* pixel accuracy: sum_i n_ii / sum_i t_i
* mean accuracy: (1 / K) sum_i n_ii / t_i
* mean IoU: (1 / K) sum_i n_ii / (t_i + sum_j n_ji - n_ii)
* frequency weighted IoU: (sum_k t_k)^-1 sum_i t_i n_ii / (t_i + sum_j n_ji - n_ii)

Counts are int64 over the whole data set; a ratio is taken once, at the end, in float64.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from lookwider.classes import IGNORE_INDEX
from lookwider.errors import ConfigError, DataError, unknown_name

Convention = Literal["fcn", "parsenet", "pspnet"]
"""What a class without a pixel of truth does to a mean over classes.

* ``"fcn"``: predicted anywhere it counts as IoU 0; never predicted it is left out. It has no
  accuracy, and is left out of the mean accuracy.
* ``"parsenet"``: the sum is divided by the number of classes in the truth.
* ``"pspnet"``: it counts as 0 always; the sum is divided by the number of all classes.
"""

CONVENTIONS: tuple[Convention, ...] = ("fcn", "parsenet", "pspnet")

CHUNK = 1 << 24
"""Pixels counted at a time: the joint index takes 8 bytes a pixel."""


def confusion_counts(
    labels: Tensor, predictions: Tensor, num_classes: int, ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """Count the pixels of each (truth, prediction) pair.

    Args:
        labels: class ids of the truth; any integer type.
        predictions: class ids predicted; any integer type.
        num_classes: K.
        ignore_index: label value whose pixels are left out.

    Shape:
        labels and predictions (...) of one shape -> (K, K) int64, ``[truth, prediction]``.

    Raises:
        DataError: the shapes differ, or an id is outside 0..K-1.

    Example:
        >>> confusion_counts(torch.tensor([0, 0, 1, 255]), torch.tensor([0, 1, 1, 1]), 2)
        tensor([[1, 1],
                [0, 1]])
    """
    if labels.shape != predictions.shape:
        raise DataError(
            f"got labels of shape {tuple(labels.shape)} and predictions of shape "
            f"{tuple(predictions.shape)}, expected the same shape"
        )
    counts = torch.zeros(num_classes * num_classes, dtype=torch.int64, device=labels.device)
    flat_labels, flat_predictions = labels.flatten(), predictions.to(labels.device).flatten()
    for start in range(0, labels.numel(), CHUNK):
        truth = flat_labels[start : start + CHUNK]
        guess = flat_predictions[start : start + CHUNK]
        valid = truth != ignore_index
        truth, guess = truth[valid].to(torch.int64), guess[valid].to(torch.int64)
        if truth.numel():
            _check_range(truth, "label", num_classes, f" or {ignore_index} (ignore)")
            _check_range(guess, "predicted", num_classes, "")
            counts += torch.bincount(truth * num_classes + guess, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def _check_range(ids: Tensor, kind: str, num_classes: int, also: str) -> None:
    low, high = (int(v) for v in ids.aminmax())
    if low < 0 or high >= num_classes:
        wrong = low if low < 0 else high
        raise DataError(
            f"got {kind} class id {wrong}, expected 0..{num_classes - 1}{also}; "
            "does the data set have the model's classes?"
        )


def pixel_accuracy(counts: Tensor) -> float:
    """Return the share of pixels that are right; nan without a pixel.

    Shape:
        counts (K, K), ``[truth, prediction]``.
    """
    counts = counts.cpu()
    return _ratio(counts.diagonal().sum(), counts.sum()).item()


def class_accuracy(counts: Tensor) -> Tensor:
    """Return the share of each class's pixels that are right; nan of a class without any.

    Shape:
        counts (K, K) -> (K,) float64 on the CPU.
    """
    counts = counts.cpu()
    return _ratio(counts.diagonal(), counts.sum(1))


def class_iou(counts: Tensor) -> Tensor:
    """Return each class's intersection over union.

    It is 0 for a class that is predicted but not in the truth, and nan for one in neither.

    Shape:
        counts (K, K) -> (K,) float64 on the CPU.

    Example:
        >>> class_iou(torch.tensor([[3, 1, 0], [0, 0, 0], [0, 0, 0]]))
        tensor([0.7500, 0.0000,    nan], dtype=torch.float64)
    """
    counts = counts.cpu()
    right = counts.diagonal()
    return _ratio(right, counts.sum(1) + counts.sum(0) - right)


def mean_accuracy(counts: Tensor, convention: Convention = "fcn") -> float:
    """Return the mean of `class_accuracy`; over all K classes by PSPNet's convention."""
    check_convention(convention)
    accuracy = class_accuracy(counts)
    return _mean(accuracy, len(accuracy) if convention == "pspnet" else classes_present(counts))


def mean_iou(counts: Tensor, convention: Convention = "fcn") -> float:
    """Return the mean of `class_iou` by a `Convention`; nan where no class counts.

    Example:
        >>> counts = torch.tensor([[3, 1, 0], [0, 0, 0], [0, 0, 0]])
        >>> [mean_iou(counts, c) for c in ("fcn", "parsenet", "pspnet")]
        [0.375, 0.75, 0.25]
    """
    check_convention(convention)
    iou = class_iou(counts)
    divisors = {
        "fcn": int((~iou.isnan()).sum()),
        "parsenet": classes_present(counts),
        "pspnet": len(iou),
    }
    return _mean(iou, divisors[convention])


def freq_weighted_iou(counts: Tensor) -> float:
    """Return the mean of `class_iou` weighted with the classes' pixels; nan without a pixel."""
    frequency = counts.cpu().sum(1)
    weighted = (class_iou(counts).nan_to_num(0.0) * frequency).sum()
    return _ratio(weighted, frequency.sum()).item()


def classes_present(counts: Tensor) -> int:
    """Return the number of classes that the truth holds."""
    return int((counts.sum(1) > 0).sum())


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Divide in float64; 0 / 0 is nan."""
    return part.to(torch.float64) / whole.to(torch.float64)


def _mean(values: Tensor, divisor: int) -> float:
    return float(values.nansum()) / divisor if divisor else float("nan")


def check_convention(convention: str) -> None:
    """Raise a `ConfigError` where this is not the name of a `Convention`."""
    if convention not in CONVENTIONS:
        raise ConfigError(unknown_name("convention", convention, CONVENTIONS))


class ConfusionCounts(Metric):
    """Streaming `confusion_counts`; exact over processes, whose counts are summed.

    Example:
        >>> metric = ConfusionCounts(num_classes=2)
        >>> metric.update(torch.tensor([0, 1]), torch.tensor([0, 0]))
        >>> mean_iou(metric.compute())
        0.25
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        zeros = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, labels: Tensor, predictions: Tensor) -> None:
        """Add the pixels of a batch; both of one shape, integer ids."""
        batch = confusion_counts(labels, predictions, self.num_classes, self.ignore_index)
        self.counts += batch.to(self.counts.device)

    def compute(self) -> Tensor:
        """Return the (K, K) counts so far, of all processes."""
        return self.counts
