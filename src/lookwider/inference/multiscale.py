"""Class probabilities of one image by a protocol: scales, windows and mirror images averaged.

PSPNet (Zhao et al. 2017, section 5.1) and its released test (``evaluation/*.m``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lookwider.errors import ConfigError, LookwiderError
from lookwider.inference.protocol import WHOLE, FlipMean, InferenceProtocol
from lookwider.inference.resizing import resize
from lookwider.inference.windows import Classify, window_probabilities
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter
from lookwider.models.segmenter import ImageLike, image_array

OnWindow = Callable[[int, int], None]
"""Told how many windows of an image are done, and how many there are."""


def class_probabilities(
    model: Segmenter,
    image: ImageLike,
    protocol: InferenceProtocol = WHOLE,
    *,
    batch_size: int = 1,
    on_window: OnWindow | None = None,
) -> dict[str, Tensor]:
    """Return the probability of every class at every pixel, by head; the main head first.

    Args:
        model: on the device to compute and to sum on.
        image: a path, a PIL image, or an (H, W, C) array in RGB order.
        protocol: what is done to the image.
        batch_size: so many windows go through at once.
        on_window: told of the progress.

    Shape:
        (K, H, W) float32, on the model's device.

    Raises:
        ConfigError: the protocol does not fit the model.
        LookwiderError: the image cannot be read or has other bands than the model, or the
            network gives NaN.
    """
    check_protocol(model, protocol)
    array = image_array(image)
    whole_numbers = np.issubdtype(array.dtype, np.integer)
    # A copy: Pillow's pixels are read-only. 16 bits become float first, since torch can do little
    # with uint16.
    raw = torch.from_numpy(np.array(array.transpose(2, 0, 1), np.float32, order="C"))
    with evaluating(model), torch.inference_mode():
        found = multiscale_probabilities(
            lambda images: {h: s.logits() for h, s in model.scores(images).items()},
            raw.to(model.device),
            protocol,
            normalise=model.preprocessing.normalise,
            whole_numbers=whole_numbers,
            batch_size=batch_size,
            on_window=on_window,
        )
        if any(bool(maps.isnan().any()) for maps in found.values()):
            raise LookwiderError(
                "the network's scores hold NaN; the weights or the image are damaged"
            )
    return found


def check_protocol(
    model: Segmenter, protocol: InferenceProtocol, shift_and_stitch: int = 1
) -> None:
    """Raise a `ConfigError` when a protocol does not fit the model or shift-and-stitch."""
    stride = int(model.segmentation_heads()[0].grid.stride)
    if protocol.crop_size is not None and min(protocol.crop_size) < stride:
        raise ConfigError(
            f"got crop_size={','.join(map(str, protocol.crop_size))}, expected at least the stride "
            f"of the network's scores, {stride}"
        )
    if shift_and_stitch != 1 and not protocol.is_plain:
        raise ConfigError(
            f"got shift_and_stitch={shift_and_stitch} together with scales, flip or windows, "
            "expected one of the two: it works on whole images at their own size; leave it out, "
            "or take the protocol 'whole' alone"
        )


def multiscale_probabilities(
    logits: Classify,
    image: Tensor,
    protocol: InferenceProtocol,
    *,
    normalise: Callable[[Tensor], Tensor],
    whole_numbers: bool = False,
    batch_size: int = 1,
    on_window: OnWindow | None = None,
) -> dict[str, Tensor]:
    """Return the class probabilities that a function of images gives under a protocol.

    The pure form of `class_probabilities`.

    Args:
        logits: (N, C, h, w) normalised -> (N, K, h, w) by head.
        image: raw pixels, floating point.
        protocol: what is done to the image.
        normalise: (C, h, w) raw to (C, h, w) normalised; the mean colour becomes zero.
        whole_numbers: whether the pixels were stored as integers.
        batch_size: so many windows go through at once.
        on_window: told of the progress.

    Shape:
        (C, H, W) -> (K, H, W) by head, float32 at least.
    """
    size = (int(image.shape[-2]), int(image.shape[-1]))
    grids = protocol.grids(size)
    windows, done = sum(map(len, grids)), 0

    def count(finished: int) -> None:
        nonlocal done
        done += finished
        if on_window is not None:
            on_window(done, windows)

    classify = probabilities_of(logits, flip=protocol.flip, mean=protocol.flip_mean)
    total: dict[str, Tensor] = {}
    for grid in grids:
        resized = resize(image, grid.size, protocol.resize, whole_numbers=whole_numbers)
        found = window_probabilities(
            classify, normalise(resized), grid, batch_size=batch_size, on_windows=count
        )
        for head, maps in found.items():
            at_size = resize(maps, size, protocol.resize)
            total[head] = total[head].add_(at_size) if head in total else at_size
    return {head: maps.div_(len(grids)) for head, maps in total.items()}


def probabilities_of(
    logits: Classify, *, flip: bool = False, mean: FlipMean = "probabilities"
) -> Classify:
    """Return the softmax of a network's logits, on request with those of the mirror image.

    Args:
        logits: images to logits by head.
        flip: whether the mirror image is classified too.
        mean: ``"logits"``: the softmax of the sum, as PSPNet's released test;
            ``"probabilities"``: the mean of the two.
    """

    def classify(images: Tensor) -> dict[str, Tensor]:
        plain = logits(images)
        if not flip:
            return {head: _softmax(maps) for head, maps in plain.items()}
        mirrored = {head: maps.flip(-1) for head, maps in logits(images.flip(-1)).items()}
        if mean == "logits":
            return {head: _softmax(maps + mirrored[head]) for head, maps in plain.items()}
        return {
            head: (_softmax(maps) + _softmax(mirrored[head])) / 2 for head, maps in plain.items()
        }

    return classify


def labels_of(probabilities: Tensor) -> Tensor:
    """Return the most probable class of each pixel; the lower id where two are equal.

    Shape:
        (K, H, W) -> (H, W) uint8.
    """
    return probabilities.argmax(0).to(torch.uint8)


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32))
