"""The effective receptive field by gradient (Luo et al. 2016, section 4).

How much an infinitely small change of each pixel changes the units of one place: the absolute
gradient of their sum. Averaged over images, it has the shape that the paper calls the effective
receptive field; its region is where it exceeds 1 - 95.45 % of its maximum.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lookwider.errors import LookwiderError
from lookwider.models.segmenter import ImageLike, image_array
from lookwider.probes.fields.empirical import Units, check_finite, check_threshold, chosen_units
from lookwider.probes.fields.result import MeasuredField
from lookwider.probes.fields.theoretical import theoretical_field
from lookwider.probes.network import SCORES, Network

THRESHOLD = 1 - 0.9545
"""Of the maximum: beyond it lies what a Gaussian holds within two deviations."""


def gradient_field(
    network: Network,
    image: ImageLike,
    at: tuple[int, int],
    layer: str = SCORES,
    *,
    threshold: float = THRESHOLD,
    units: Units = None,
) -> MeasuredField:
    """Return the absolute gradient of the sum of a place's units by every pixel.

    The image is normalised first, so a band's gradient is per deviation of that band; bands are
    added. Average several images with `average_fields`.

    Args:
        network: to probe.
        image: a path, a PIL image, or an (H, W, C) array in RGB order.
        at: (row, column) of the pixel whose place is watched.
        layer: name, or the end of one; ``"scores"`` for the class scores.
        threshold: share of the largest gradient above which a pixel is in the region.
        units: channels that count: all, the so many strongest at the place, or these.

    Raises:
        ConfigError: the pixel lies outside the image, there is no such layer or unit, or a
            setting is out of range.
        LookwiderError: the image cannot be read, or the network cannot take it.
    """
    check_threshold(threshold)
    array = image_array(image)
    images = network.image(array).requires_grad_()
    field = theoretical_field(network, layer, at, (int(images.shape[-2]), int(images.shape[-1])))
    row, col = field.cell
    with torch.enable_grad():
        values = network.activations(images, [field.layer])[field.layer][0, :, row, col]
        what = f"layer {field.layer} of {network.name}"
        check_finite(values, what)
        chosen = chosen_units(units, values.detach())
        gradient = _gradient(values[list(chosen)].sum(), images, what)
    return MeasuredField(
        method="gradient",
        theoretical=field,
        values=gradient[0].abs().sum(0).float().cpu().numpy(),
        threshold=threshold,
        image=array,
        settings={"units": None if units is None else list(chosen), "network": network.name},
    )


def _gradient(total: Tensor, images: Tensor, what: str) -> Tensor:
    found = None
    if total.requires_grad:
        (found,) = torch.autograd.grad(total, images, allow_unused=True)
    if found is None:
        raise LookwiderError(
            f"{what} passes no gradient to the image: the network computes it without (no_grad, "
            "detach) or does not use the image; use empirical_field, or --method empirical"
        )
    check_finite(found, f"the gradient of {what}")
    return found
