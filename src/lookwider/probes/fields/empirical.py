"""The empirical receptive field: what changes a place when it is covered by noise.

ParseNet (Liu et al. 2015, section 3.1) and Zhou et al. 2015 ("Object detectors emerge in deep
scene CNNs", section 3.2): slide a small window of random noise over the image, and compare the
activations of one place before and after.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lookwider.errors import ConfigError, LookwiderError
from lookwider.models.segmenter import ImageLike, image_array
from lookwider.probes.fields.crops import field_suffices, smallest_part
from lookwider.probes.fields.result import MeasuredField, Windows
from lookwider.probes.fields.theoretical import TheoreticalField, theoretical_field
from lookwider.probes.fields.windows import Lattice, Places, pixel_map, search
from lookwider.probes.network import SCORES, Network

WINDOW_SHARE = 11 / 227
"""Of the image's shorter side: Zhou et al. cover 11 x 11 pixels of 227 x 227, 3 pixels apart."""

STRIDE_SHARE = 3 / 11
"""Of the window's side."""

Units = int | Sequence[int] | None
"""Which channels count: all, the strongest so many, or these."""


def empirical_field(
    network: Network,
    image: ImageLike,
    at: tuple[int, int],
    layer: str = SCORES,
    *,
    window: int | None = None,
    stride: int | None = None,
    draws: int = 2,
    threshold: float = 0.1,
    units: Units = None,
    refine: bool = True,
    batch_size: int = 8,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> MeasuredField:
    """Measure how much each part of an image matters to one place of a layer.

    The discrepancy of a window is the length of the change of all units at the place, averaged
    over draws of noise; a pixel has the least discrepancy of the windows that cover it. Windows
    that do not touch the theoretical field change nothing and are not measured. That noise all
    around it changes nothing is checked; where it does, the field is taken to be the whole image,
    and ``settings["traced"]`` is False.

    Args:
        network: to probe.
        image: a path, a PIL image, or an (H, W, C) array in RGB order.
        at: (row, column) of the pixel whose place is watched.
        layer: name, or the end of one; ``"scores"`` compares class scores.
        window: side of the window in pixels; as large a share of the image as in Zhou et al.
            when None.
        stride: pixels between windows; as in Zhou et al. when None.
        draws: images of noise that are averaged over.
        threshold: share of the largest discrepancy above which a pixel is in the region.
        units: channels that count: all, the so many strongest at the place, or these.
        refine: measure windows side by side first, and closer only where the threshold is
            crossed and around the largest. The region is the one of every window, or nearly so,
            wherever the discrepancy falls off from one peak.
        batch_size: windows in one pass; it does not change the result.
        seed: of the noise.
        on_progress: called with the windows that are done, and how many are planned so far.

    Raises:
        ConfigError: the pixel lies outside the image, there is no such layer or unit, or a
            setting is out of range.
        LookwiderError: the image cannot be read, or the network cannot take it.
    """
    array = image_array(image)
    images = network.image(array)
    size = (int(images.shape[-2]), int(images.shape[-1]))
    field = theoretical_field(network, layer, at, size)
    window = max(1, round(min(size) * WINDOW_SHARE)) if window is None else window
    stride = max(1, round(window * STRIDE_SHARE)) if stride is None else stride
    _check(size, window, stride, draws, threshold, batch_size)
    watched = _Watched(network, images, field, units, window, draws, seed, batch_size)
    watched.on_progress = on_progress
    lattice = Lattice.over(size, window, stride, refine=refine)
    with torch.no_grad():
        values = search(lattice, watched.measure, threshold)
    corners = lattice.corners(~np.isnan(values))
    measured = values[~np.isnan(values)]
    changes = watched.unit_changes(corners)
    return MeasuredField(
        method="empirical",
        theoretical=watched.field,
        values=pixel_map(size, window, corners, measured) * watched.field.mask(),
        threshold=threshold,
        image=array,
        settings={
            "window": window,
            "stride": stride,
            "draws": draws,
            "seed": seed,
            "refine": refine,
            "traced": watched.field is field,
            "network": network.name,
        },
        windows=Windows(
            side=window,
            corners=corners,
            values=measured,
            units=() if units is None else watched.units,
            unit_values=changes,
            passes=watched.passes,
        ),
    )


class _Watched:
    """One place of a layer: its units, and how windows of noise change them."""

    def __init__(
        self,
        network: Network,
        images: Tensor,
        field: TheoreticalField,
        units: Units,
        window: int,
        draws: int,
        seed: int,
        batch_size: int,
    ) -> None:
        self.window, self.batch_size = window, batch_size
        self.what = f"layer {field.layer} of {network.name}"
        noise = [noise_like(images, seed, draw) for draw in range(draws)]
        if not field_suffices(network, images, field, noise[0]):
            field = field.widened()
        self.field, self.box = field, field.box
        self.part = smallest_part(network, images, field, noise[0])
        self.images = self.part.of(images)
        self.noise = [self.part.of(values) for values in noise]
        self.read = self.part.reader(network, field.layer)
        self.on_progress: Callable[[int, int], None] | None = None
        self.by_corner: dict[tuple[int, int], npt.NDArray[np.float32]] = {}
        self.passes = self.done = self.planned = 0
        with torch.no_grad():
            alone = self.read(self.images.expand(batch_size, -1, -1, -1))
        check_finite(alone, self.what)
        self.units = chosen_units(units, alone[0])
        self.keep = units is not None
        self.clean = alone[:, list(self.units)]
        # What the same image differs by within a batch is rounding, and no influence.
        self.rounding = float((self.clean - self.clean[:1]).norm(dim=1).max())

    def measure(self, corners: Places) -> npt.NDArray[np.float64]:
        """Return the discrepancy of windows: 0 of those that do not touch the field."""
        box, side = self.box, self.window
        rows, cols = corners.T
        touches = (rows < box.bottom) & (rows + side > box.top)
        touches &= (cols < box.right) & (cols + side > box.left)
        result = np.zeros(len(corners))
        chosen = np.flatnonzero(touches)
        self.planned += len(chosen)
        for start in range(0, len(chosen), self.batch_size):
            some = chosen[start : start + self.batch_size]
            result[some] = self._discrepancies(corners[some])
            self.done += len(some)
            if self.on_progress is not None:
                self.on_progress(self.done, self.planned)
        return result

    def _discrepancies(self, corners: Places) -> npt.NDArray[np.float64]:
        """Return the discrepancy of a few windows, all draws of them in as few passes as fit."""
        covered = (self._covered(corner, noise) for corner in corners for noise in self.noise)
        parts = []
        while some := list(itertools.islice(covered, self.batch_size)):
            filler = [self.images] * (self.batch_size - len(some))  # all batches alike: same bits
            values = self.read(torch.cat([*some, *filler]))[:, list(self.units)]
            check_finite(values, f"{self.what}, with noise on the image")
            parts.append((values - self.clean)[: len(some)])
            self.passes += 1
        changes = torch.cat(parts).double().view(len(corners), len(self.noise), -1)
        lengths = changes.norm(dim=2)
        lengths[lengths <= self.rounding] = 0
        if self.keep:
            means = changes.abs().mean(1).float().cpu().numpy()
            self.by_corner.update(zip(map(tuple, corners.tolist()), means, strict=True))
        return np.asarray(lengths.mean(1).cpu().numpy())

    def _covered(self, corner: npt.NDArray[np.int64], noise: Tensor) -> Tensor:
        """Return the image with one window of it taken from the noise."""
        row, col = (int(c) - first for c, first in zip(corner, self.part.corner, strict=True))
        window = (
            ...,
            slice(max(row, 0), row + self.window),
            slice(max(col, 0), col + self.window),
        )
        image = self.images.clone()
        image[window] = noise[window]
        return image

    def unit_changes(self, corners: Places) -> npt.NDArray[np.float32] | None:
        """Return the mean change of each chosen unit, (P, U); None where none was chosen."""
        if not self.keep:
            return None
        none = np.zeros(len(self.units), np.float32)
        return np.stack([self.by_corner.get((r, c), none) for r, c in corners.tolist()])


def noise_like(images: Tensor, seed: int, draw: int) -> Tensor:
    """Return noise, uniform over the range of each band of an image.

    A band of one value only gets noise from 1 below to 1 above it. A draw does not depend on the
    device, on other draws, or on where its windows are put.

    Shape:
        (1, C, H, W) -> (1, C, H, W).
    """
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    flat = (low == high).to(images.dtype)
    low, high = low - flat, high + flat
    shares = np.random.default_rng([seed, draw]).random(tuple(images.shape), np.float32)
    return low + (high - low) * torch.from_numpy(shares).to(images)


def chosen_units(units: Units, values: Tensor) -> tuple[int, ...]:
    """Return the channels that count.

    Args:
        units: as the caller gave it.
        values: (C,) activations of the place.

    Raises:
        ConfigError: there are not so many channels.
    """
    channels = len(values)
    if units is None:
        return tuple(range(channels))
    if isinstance(units, int):
        if not 1 <= units <= channels:
            raise ConfigError(
                f"got units={units}, expected 1 to {channels} of the layer's channels"
            )
        strongest = values.abs().sort(descending=True, stable=True).indices[:units]
        return tuple(sorted(strongest.tolist()))
    wrong = [unit for unit in units if not 0 <= unit < channels]
    if wrong or not units:
        got = ", ".join(map(str, wrong)) or "none"
        raise ConfigError(f"got unit {got}, expected some of the layer's 0..{channels - 1}")
    return tuple(units)


def check_finite(values: Tensor, what: str) -> None:
    """Raise a `LookwiderError` where a place's values are NaN or infinite."""
    if not torch.isfinite(values).all():
        raise LookwiderError(
            f"{what}: units of the place are NaN or infinite; the weights or the image are "
            "damaged, or the training diverged"
        )


def _check(
    size: tuple[int, int], window: int, stride: int, draws: int, threshold: float, batch_size: int
) -> None:
    if not 1 <= window <= min(size):
        raise ConfigError(
            f"got window={window}, expected 1 to {min(size)}, the shorter side of the image"
        )
    if not 1 <= stride <= window:
        raise ConfigError(
            f"got stride={stride}, expected 1 to {window}, the window's side: larger steps would "
            "leave pixels out"
        )
    for name, value in (("draws", draws), ("batch_size", batch_size)):
        if value < 1:
            raise ConfigError(f"got {name}={value}, expected at least 1")
    check_threshold(threshold)


def check_threshold(threshold: float) -> None:
    """Raise a `ConfigError` for a threshold that is no share of the maximum."""
    if not 0 <= threshold < 1:
        raise ConfigError(
            f"got threshold={threshold}, expected a share of the largest value from 0 to below 1"
        )
