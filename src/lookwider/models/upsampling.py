"""Upsampling steps between the grids of feature maps and onto the image.

A step knows the two grids that it joins; kernels and crops follow from them.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from lookwider.layers.deconvolution import LearnedDeconvolution, bilinear_deconvolution
from lookwider.layers.grids import PIXELS, Grid, deconvolution_between
from lookwider.layers.taps import Taps, resample
from lookwider.scores import ScoreMap

Step = Literal["fixed", "learned", "interpolation"]
"""A bilinear deconvolution, fixed or learned; or bilinear interpolation, which keeps its value up
to the border where a deconvolution fades to zero."""


class Upscore(nn.Module):
    """Upsample scores onto a finer grid and add the scores there, cropped to where both exist.

    Args:
        num_classes: score maps.
        coarse: grid of the scores.
        fine: grid of the finer scores.
        step: how to upsample.
    """

    def __init__(self, num_classes: int, coarse: Grid, fine: Grid, step: Step) -> None:
        super().__init__()
        self.coarse, self.fine = coarse, fine
        self.num_classes = num_classes
        self.filters = num_classes**2
        self.deconvolution: LearnedDeconvolution | None = None
        self.grid = fine
        self.plan = None if step == "interpolation" else deconvolution_between(coarse, fine)
        if self.plan is not None:
            if self.plan.crop > 0:  # the finer map starts first and loses its first cells
                self.grid = coarse.finer(self.plan.factor, self.plan.kernel)
            if step == "learned":
                self.deconvolution = LearnedDeconvolution(
                    num_classes, self.plan.kernel, self.plan.factor
                )

    def forward(self, scores: Tensor, finer: Tensor) -> Tensor:
        """Return the sum.

        Shape:
            scores: (N, K, h, w); finer: (N, K, H, W) -> (N, K, H', W') on ``self.grid``.
        """
        if self.plan is None:
            return onto_grid(scores, self.coarse, _size(finer), self.fine) + finer
        upscored: Tensor = (
            self.deconvolution(scores)
            if self.deconvolution is not None
            else bilinear_deconvolution(scores, self.plan.kernel, self.plan.factor)
        )
        crop = self.plan.crop
        upscored = upscored[..., max(-crop, 0) :, max(-crop, 0) :]
        finer = finer[..., max(crop, 0) :, max(crop, 0) :]
        height, width = (min(a, b) for a, b in zip(_size(upscored), _size(finer), strict=True))
        return upscored[..., :height, :width] + finer[..., :height, :width]


class UpscoreToImage(nn.Module):
    """Upsample scores to the image: a `ScoreMap`, of which the taps do the work where fixed.

    Args:
        num_classes: score maps.
        grid: grid of the scores.
        step: how to upsample.
        grouped: one learned filter per class and a bias (ParseNet's release), instead of filters
            from every class to every class.
    """

    def __init__(self, num_classes: int, grid: Grid, step: Step, *, grouped: bool = False) -> None:
        super().__init__()
        self.coarse = grid
        self.num_classes = num_classes
        self.filters = num_classes if grouped else num_classes**2
        self.deconvolution: LearnedDeconvolution | None = None
        self.plan = None if step == "interpolation" else deconvolution_between(grid, PIXELS)
        if self.plan is not None and step == "learned":
            self.deconvolution = LearnedDeconvolution(
                num_classes, self.plan.kernel, self.plan.factor, grouped=grouped, bias=grouped
            )

    @property
    def alignment(self) -> str:
        """How the scores come to lie on the image, in words."""
        if self.plan is None:
            return f"bilinear by cell centres: {self.coarse.offset:g} + {self.coarse.stride:g} i"
        kind = "fixed" if self.deconvolution is None else "learned"
        kernel, factor, crop = self.plan
        return f"{kind} bilinear deconvolution {kernel}/{factor}, cropped from {-crop} on"

    @property
    def grid(self) -> Grid:
        """Where the cells of the returned scores lie in the image."""
        if self.deconvolution is None or self.plan is None:
            return self.coarse
        return self.coarse.finer(self.plan.factor, self.plan.kernel)

    def forward(self, scores: Tensor, size: tuple[int, int]) -> ScoreMap:
        """Return the scores with their taps to an image of this (height, width).

        Shape:
            scores: (N, K, h, w).
        """
        if self.plan is None:
            return ScoreMap(scores, *_centred(scores, size, self.coarse, PIXELS))
        kernel, factor, crop = self.plan
        if self.deconvolution is not None:
            scores = self.deconvolution(scores)
            rows, cols = (
                Taps.identity(n, -crop, pixels)
                for n, pixels in zip(_size(scores), size, strict=True)
            )
        else:
            rows, cols = (
                Taps.deconvolution(n, kernel, factor, -crop, pixels)
                for n, pixels in zip(_size(scores), size, strict=True)
            )
        return ScoreMap(scores, rows, cols)


def onto_grid(scores: Tensor, coarse: Grid, size: tuple[int, int], fine: Grid) -> Tensor:
    """Interpolate scores of one grid at the cells of another, of this (height, width).

    Shape:
        (N, K, h, w) -> (N, K, *size).
    """
    return resample(scores, *_centred(scores, size, coarse, fine))


def fixed_filter_weights(module: nn.Module) -> int:
    """Return how many weights the fixed deconvolutions have where they are stored as filters.

    The released networks count them: K x K filters of kernel x kernel each, K where grouped.
    """
    return sum(
        step.filters * step.plan.kernel**2
        for step in module.modules()
        if isinstance(step, (Upscore, UpscoreToImage))
        and step.plan is not None
        and step.deconvolution is None
    )


def _centred(scores: Tensor, size: tuple[int, int], coarse: Grid, fine: Grid) -> tuple[Taps, Taps]:
    stride, offset = coarse.stride / fine.stride, (coarse.offset - fine.offset) / fine.stride
    rows, cols = (
        Taps.centred(n, target, stride, offset)
        for n, target in zip(_size(scores), size, strict=True)
    )
    return rows, cols


def _size(maps: Tensor) -> tuple[int, int]:
    return int(maps.shape[-2]), int(maps.shape[-1])
