"""What the instruments find of a run, on a few images."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from lookwider.data.first import FirstSamples
from lookwider.data.sample import SegmentationDataset
from lookwider.errors import LookwiderError
from lookwider.inference.progress import ImageProgress
from lookwider.models import Segmenter
from lookwider.probes.fields import (
    FieldReport,
    MeasuredField,
    empirical_field,
    gradient_field,
    theoretical_field,
)
from lookwider.probes.network import SCORES, Network
from lookwider.probes.scales import FeatureScales, feature_scales
from lookwider.probes.swap import ContextReliance, context_reliance

FIELDS, CONTEXT, SCALES = "fields", "context", "scales"
PROBES = (FIELDS, CONTEXT, SCALES)
"""The instruments of a page by name."""

WINDOWS_ACROSS = 8
"""Windows of noise over an image's shorter side: coarser than the instrument's own, and faster."""


@dataclass(frozen=True, eq=False)
class Probed:
    """What the instruments found; None where one does not fit the network or was left out.

    Attributes:
        fields: how far its decisions look.
        reliance: how much it relies on its context.
        scales: how large its features are.
        missing: why something is not there, by the instrument's name.
    """

    fields: FieldReport | None
    reliance: ContextReliance | None
    scales: FeatureScales | None
    missing: dict[str, str]


def probe(
    model: Segmenter,
    name: str,
    dataset: SegmentationDataset,
    *,
    images: int,
    swapped: int,
    without: frozenset[str] = frozenset(),
    console: Console | None = None,
    show: bool = True,
) -> Probed:
    """Probe a network with every instrument that fits it.

    Args:
        model: the network.
        name: of its run.
        dataset: where the images come from: its first.
        images: how many for the receptive fields and the feature scales.
        swapped: how many for the reliance on context.
        without: instruments to leave out.
        console: where progress is shown.
        show: whether it is.
    """
    network, missing = Network(model, name=name), dict.fromkeys(without & set(PROBES), "left out")
    fields = reliance = scales = None
    few, more = FirstSamples(dataset, images), FirstSamples(dataset, swapped)
    # what does not fit a network, such as a context that it has not, is told and left out
    if FIELDS not in without:
        try:
            fields = centre_fields(network, few, console=console, show=show)
        except LookwiderError as error:
            missing[FIELDS] = str(error)
    if CONTEXT not in without:
        try:
            reliance = context_reliance(network, more, console=console, show=show)
        except LookwiderError as error:
            missing[CONTEXT] = str(error)
    if SCALES not in without:
        try:
            scales = feature_scales(network, few, console=console, show=show)
        except LookwiderError as error:
            missing[SCALES] = str(error)
    return Probed(fields, reliance, scales, missing)


def centre_fields(
    network: Network,
    dataset: SegmentationDataset,
    *,
    console: Console | None = None,
    show: bool = True,
) -> FieldReport:
    """Measure the fields of the class scores in the middle of images, empirically and by gradient.

    Raises:
        LookwiderError: the network cannot take an image.
    """
    names: list[str] = []
    theoretical = []
    empirical: list[MeasuredField] = []
    gradient: list[MeasuredField] = []
    with ImageProgress("receptive fields", len(dataset), console, show=show) as progress:
        for index in range(len(dataset)):
            sample = dataset[index]
            size = (sample.image.shape[0], sample.image.shape[1])
            at = (size[0] // 2, size[1] // 2)
            window = max(1, round(min(size) / WINDOWS_ACROSS))
            found = empirical_field(
                network,
                sample.image,
                at,
                window=window,
                stride=max(1, window // 2),
                on_progress=progress.windows_of(sample.name),
            )
            names.append(sample.name)
            theoretical.append(theoretical_field(network, SCORES, at, size))
            empirical.append(found)
            gradient.append(gradient_field(network, sample.image, at))
            progress.advance()
    measured = {"empirical": tuple(empirical), "gradient": tuple(gradient)}
    return FieldReport(network.name, tuple(names), tuple(theoretical), measured)
