"""Compare an exported network with PyTorch, size by size."""

from __future__ import annotations

import bisect
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lookwider.data.sample import SegmentationDataset
from lookwider.errors import LookwiderError
from lookwider.evaluation.metrics import confusion_counts, mean_iou
from lookwider.export.certificate import Comparison, MeasuredLoss
from lookwider.export.formats import Options
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter

Array = npt.NDArray[np.generic]

Run = Callable[[Array], Array]
"""An exported network: images (N, C, H, W), as the file takes them, to logits or labels."""

Tell = Callable[[str], None]

SIZES = (
    *((1, 97, 131), (2, 64, 96), (1, 33, 200), (1, 225, 47), (3, 50, 50)),
    *((1, 1, 1), (1, 7, 3), (2, 16, 17), (1, 161, 241), (1, 128, 128)),
)
"""Batch, height and width: odd, tiny, long, wide and square, multiples of strides and not."""

LARGEST = 128
"""The least side of the largest of them."""


def compare(
    model: Segmenter,
    run: Run,
    options: Options,
    images: Iterable[Array],
    tolerance: float,
) -> Iterator[Comparison]:
    """Yield a comparison for each batch of raw images.

    Args:
        model: what was exported, in evaluation mode.
        run: the exported network.
        options: what it takes and gives.
        images: (N, C, H, W) raw values in RGB order.
        tolerance: relative difference up to which labels count as tied.

    Raises:
        LookwiderError: one of the two fails on an image.
    """
    for raw in images:
        normalised = model.preprocessing.normalise(torch.from_numpy(raw))
        try:
            with evaluating(model), torch.inference_mode():
                wanted = model(normalised.to(model.device)).cpu().to(torch.float32)
        except RuntimeError as error:
            raise LookwiderError(
                f"nothing was written: the network itself fails on images of {raw.shape[2]}x"
                f"{raw.shape[3]}: {error}; export a size that it takes: --fixed --size HEIGHTxWIDTH"
            ) from error
        got = _result(run, raw if options.preprocess else normalised.numpy())
        yield compared(wanted, got, tolerance)


def own_least_side(model: Segmenter) -> int:
    """Return the least height and width that the network itself takes, found by trying.

    Some trunks have windows without padding, which a small image does not fill.
    """

    def takes(side: int) -> bool:
        image = torch.zeros(1, model.preprocessing.in_channels, side, side, device=model.device)
        try:
            with evaluating(model), torch.inference_mode():
                model(image)
        except (LookwiderError, RuntimeError):
            return False
        return True

    return 1 if takes(1) else 1 + bisect.bisect_left(range(1, LARGEST), True, key=takes)


def _result(run: Run, images: Array) -> Tensor:
    """Return what an exported network gives.

    Raises:
        LookwiderError: its runtime fails, in whatever way.
    """
    try:
        return torch.from_numpy(np.array(run(images)))
    except Exception as error:
        batch, _, height, width = images.shape
        raise LookwiderError(
            f"nothing was written: the exported network fails on {batch} x {height}x{width}: "
            f"{error}; export a single size: --fixed --size HEIGHTxWIDTH"
        ) from error


def compared(wanted: Tensor, got: Tensor, tolerance: float) -> Comparison:
    """Compare logits, or labels, with PyTorch's logits.

    Shape:
        wanted: (N, K, H, W); got: the same, or (N, H, W) labels.

    Example:
        >>> logits = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1)
        >>> compared(logits, torch.zeros(1, 1, 1, dtype=torch.uint8), 1e-4).different
        1
    """
    batch, _, height, width = wanted.shape
    largest = float(wanted.abs().max())
    absolute = None
    labels = got.long()
    if got.is_floating_point():
        absolute = float((wanted - got).abs().max())
        labels = got.argmax(1)
    different = wanted.argmax(1) != labels
    lead = wanted.amax(1) - wanted.gather(1, labels[:, None])[:, 0]
    near = different & (lead <= 2 * tolerance * largest)
    return Comparison(
        batch,
        height,
        width,
        absolute,
        None if absolute is None else absolute / max(largest, 1e-30),
        different.numel(),
        int(different.sum()),
        int(near.sum()),
    )


def random_images(sizes: Sequence[tuple[int, int, int]], channels: int) -> Iterator[Array]:
    """Yield raw images of these batches, heights and widths, always the same."""
    random = np.random.default_rng(0)
    for batch, height, width in sizes:
        yield random.integers(0, 256, (batch, channels, height, width), dtype=np.uint8)


def crops(images: Sequence[Array], sizes: Sequence[tuple[int, int, int]]) -> Iterator[Array]:
    """Yield batches of these heights and widths cut out of images (1, C, H, W), one after another.

    Where an image is smaller it is repeated.
    """
    endless = itertools.cycle(images)
    for batch, height, width in sizes:
        yield np.concatenate(
            [
                image.take(range(height), -2, mode="wrap").take(range(width), -1, mode="wrap")
                for image in itertools.islice(endless, batch)
            ]
        )


def measured_loss(
    model: Segmenter, run: Run, options: Options, dataset: SegmentationDataset, tell: Tell
) -> MeasuredLoss:
    """Return the mean IoU of both on labelled images, each at its own size."""
    counts = [torch.zeros(model.num_classes, model.num_classes, dtype=torch.int64)] * 2
    started = time.monotonic()
    for number in range(len(dataset)):
        left = (time.monotonic() - started) / max(number, 1) * (len(dataset) - number)
        time_left = f", about {left:.0f} s left" if number else ""
        tell(f"evaluating image {number + 1} of {len(dataset)}{time_left}")
        sample = dataset[number]
        normalised = model.preprocess(sample.image)
        raw = sample.image.transpose(2, 0, 1)[None]
        with evaluating(model), torch.inference_mode():
            ours = next(iter(model.scores(normalised).values())).labels(torch.int64)
        found = _result(run, raw if options.preprocess else normalised.numpy())
        theirs = found.argmax(1) if found.is_floating_point() else found.long()
        truth = torch.from_numpy(np.array(sample.label))[None].long()
        counts = [
            total + confusion_counts(truth, labels, model.num_classes)
            for total, labels in zip(counts, (ours, theirs), strict=True)
        ]
    return MeasuredLoss(len(dataset), mean_iou(counts[0]), mean_iou(counts[1]))
