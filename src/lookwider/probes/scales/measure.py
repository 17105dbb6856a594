"""Measure the scales of a network's features over images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from torch import Tensor, nn

from lookwider.errors import DataError, LookwiderError
from lookwider.inference.memory import memory_advice
from lookwider.inference.progress import ImageProgress
from lookwider.layers.l2_norm import L2Norm
from lookwider.layers.modes import evaluating
from lookwider.probes.images import Images, count_images, sample_of
from lookwider.probes.network import Network
from lookwider.probes.scales.points import Point, measuring, measuring_points
from lookwider.probes.scales.result import FeatureScales
from lookwider.probes.scales.statistics import Norms


def feature_scales(
    network: Network | nn.Module,
    images: Images,
    layers: Sequence[str] | None = None,
    *,
    limit: int | None = None,
    console: Console | None = None,
    show: bool = True,
) -> FeatureScales:
    """Return how large the features of a network's layers are (ParseNet, sections 3.2 and 3.3).

    The scale of a place is the L2 norm of its feature vector over the channels. Of every `L2Norm`
    it is measured before, after the normalisation, and after the learned scale; of the other
    parts of a context before and after. Images stream, one at a time; counts are exact and sums
    are float64, so their order does not matter beyond the last digits.

    Args:
        network: a module, or a `Network`, which knows how its images are normalised.
        images: a data set, or a list of images.
        layers: names of layers; None for the trunk's stages of a `Segmenter`, or for at most
            twelve convolutions of any other module.
        limit: take the first so many images.
        console: where progress is shown; standard error when None.
        show: whether it is.

    Raises:
        ConfigError: a layer is unknown (lists the closest).
        DataError: there is no image, or features of one are NaN or infinite.
    """
    network = network if isinstance(network, Network) else Network(network)
    count = count_images(images, limit)
    first = sample_of(images, 0).image
    points = measuring_points(network, layers, (first.shape[0], first.shape[1]))
    norms: dict[Point, Norms] = {}

    def found(point: Point, values: Tensor) -> None:
        own = Norms.of(values)
        norms[point] = norms[point].merge(own) if point in norms else own

    with (
        evaluating(network.module),
        torch.inference_mode(),
        measuring(network, points, found),
        ImageProgress("feature scales", count, console, show=show) as progress,
    ):
        for index in range(count):
            sample = sample_of(images, index)
            try:
                with memory_advice(sample.name):
                    network.activations(network.image(sample.image), [network.last])
            except LookwiderError as error:
                raise DataError(f"{sample.name}: {error}") from error
            progress.advance()
    seen = {point: norms[point] for point in points if point in norms}
    return FeatureScales(network.name, count, seen, _learned_scales(network.module))


def _learned_scales(module: nn.Module) -> dict[str, npt.NDArray[np.float64]]:
    return {
        name: part.scale.detach().double().cpu().numpy()
        for name, part in module.named_modules()
        if isinstance(part, L2Norm)
    }
