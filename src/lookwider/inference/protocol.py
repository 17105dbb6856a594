"""How an image goes through a network: whole or in windows, at which scales, mirrored or not."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lookwider.errors import ConfigError, unknown_name
from lookwider.inference.resizing import ResizeRule, resized_size
from lookwider.inference.windows import Padding, WindowGrid

FlipMean = Literal["probabilities", "logits"]
"""What of an image and its mirror image is averaged."""


@dataclass(frozen=True)
class InferenceProtocol:
    """What is done to an image to segment it. The default: whole, at its own size, once.

    At every scale the image is resized, cut into windows where there is a crop size, and
    classified; overlapping windows are averaged, the result is resized to the image, and the
    scales are averaged. See `named_protocol` for the published ones.

    Attributes:
        scales: factors; the probabilities of all are averaged.
        flip: whether the mirror image is classified too.
        crop_size: (height, width) of the windows; None: the image is not cut. A smaller image is
            padded with the mean colour.
        base_size: longer side of the image at scale 1, in pixels; None: its own.
        stride_rate: from window to window, as a share of the window, rounded up.
        extra: pixels more on the longer side at every scale.
        padding: ``"after"``: at the bottom and right; ``"around"``: on both sides.
        flip_mean: ``"probabilities"``, or ``"logits"``: the softmax of their sum.
        resize: ``"matlab"`` or ``"opencv"``, see `lookwider.inference.resizing.resize`.

    Raises:
        ConfigError: a value is out of range.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    crop_size: tuple[int, int] | None = None
    base_size: int | None = None
    stride_rate: float = 2 / 3
    extra: int = 0
    padding: Padding = "after"
    flip_mean: FlipMean = "probabilities"
    resize: ResizeRule = "matlab"

    def __post_init__(self) -> None:
        if not self.scales or not all(math.isfinite(s) and s > 0 for s in self.scales):
            raise ConfigError(
                f"got scales={_listed(self.scales)}, expected positive numbers, e.g. 0.5,1,1.5"
            )
        if self.crop_size is not None and min(self.crop_size) < 1:
            raise ConfigError(f"got crop_size={_listed(self.crop_size)}, expected at least 1")
        if self.base_size is not None and self.base_size < 1:
            raise ConfigError(f"got base_size={self.base_size}, expected at least 1")
        if not 0 < self.stride_rate <= 1:
            raise ConfigError(
                f"got stride_rate={self.stride_rate:g}, expected more than 0 and at most 1"
            )
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(unknown_name(name, getattr(self, name), known))

    @property
    def is_plain(self) -> bool:
        """Whether the image goes through once, whole, at its own size."""
        own_size = set(self.scales) == {1.0} and self.base_size is None and self.extra == 0
        return own_size and not self.flip and self.crop_size is None

    def grids(self, size: tuple[int, int]) -> tuple[WindowGrid, ...]:
        """Return the windows of an image of this (height, width), a grid per scale.

        Example:
            >>> [len(grid) for grid in PROTOCOLS["pspnet"].grids((512, 683))]
            [1, 1, 2, 4, 4, 6]
        """
        sizes = [
            resized_size(size, scale, self.base_size, self.extra, self.resize)
            for scale in self.scales
        ]
        if self.crop_size is None:
            return tuple(WindowGrid.whole(resized) for resized in sizes)
        return tuple(
            WindowGrid.sliding(resized, self.crop_size, self.stride_rate, self.padding)
            for resized in sizes
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def describe(self) -> str:
        """Return what is done, in words.

        Example:
            >>> InferenceProtocol().describe()
            'whole, one scale, not flipped'
        """
        return ", ".join((self._describe_windows(), self._describe_scales(), self._describe_flip()))

    def _describe_windows(self) -> str:
        if self.crop_size is None:
            return "whole"
        strides = [math.ceil(side * self.stride_rate) for side in self.crop_size]
        height, width = self.crop_size
        where = "at the bottom and right" if self.padding == "after" else "on all sides"
        return (
            f"windows of {height} x {width} every {strides[0]} x {strides[1]} pixels (smaller "
            f"images padded {where} with the mean colour)"
        )

    def _describe_scales(self) -> str:
        if self.scales == (1.0,) and self.base_size is None and not self.extra:
            return "one scale"
        scales = f"scale{'s' if len(self.scales) > 1 else ''} {_listed(self.scales, ', ')}"
        base = "its own size" if self.base_size is None else f"{self.base_size} pixels"
        more = f" + {self.extra}" if self.extra else ""
        how = "antialiased when shrunk" if self.resize == "matlab" else "not antialiased"
        return f"{scales} of {base}{more} on the longer side, {how}"

    def _describe_flip(self) -> str:
        if not self.flip:
            return "not flipped"
        mean = "mean of the probabilities" if self.flip_mean == "probabilities" else "sum of logits"
        return f"flipped too ({mean})"


CHOICES: dict[str, tuple[str, ...]] = {
    "padding": get_args(Padding),
    "flip_mean": get_args(FlipMean),
    "resize": get_args(ResizeRule),
}

PSPNET_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)

PROTOCOLS: dict[str, InferenceProtocol] = {
    "whole": InferenceProtocol(),
    "pspnet": InferenceProtocol(
        scales=PSPNET_SCALES,
        flip=True,
        crop_size=(473, 473),
        base_size=512,
        extra=1,
        flip_mean="logits",
    ),
    "semseg": InferenceProtocol(
        scales=PSPNET_SCALES,
        flip=True,
        crop_size=(473, 473),
        base_size=512,
        padding="around",
        resize="opencv",
    ),
}
"""By name; ``pspnet`` is the released test of its Caffe release, ``semseg`` of its PyTorch one.

Their crop and base size are those for ADE20K and VOC; for Cityscapes they are 713 and 2048. The
Caffe release divides each scale's probabilities by their sum, the other does not: that changes
nothing, since every step before is a mean with weights that sum to 1. It also rounds the mean
colour of the padding to whole numbers where there are several windows; here it is exact.
"""

WHOLE = PROTOCOLS["whole"]


def named_protocol(name: str, **changes: Any) -> InferenceProtocol:
    """Return a protocol by name, with some of its values changed.

    Args:
        name: ``whole`` (the default everywhere), ``pspnet`` or ``semseg``.
        changes: attributes of `InferenceProtocol`.

    Raises:
        ConfigError: there is no such protocol, or a value is out of range.

    Example:
        >>> named_protocol("pspnet", crop_size=(713, 713), base_size=2048).extra
        1
    """
    if name not in PROTOCOLS:
        raise ConfigError(unknown_name("protocol", name, PROTOCOLS))
    return dataclasses.replace(PROTOCOLS[name], **changes)


def _listed(values: tuple[float, ...] | tuple[int, ...], between: str = ",") -> str:
    return between.join(f"{value:g}" for value in values)
