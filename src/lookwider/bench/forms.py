"""The two forms of a network that are compared: lookwider's fast paths, and plain PyTorch.

The plain form is what one writes with PyTorch alone: eager, channels last (the faster layout on
most processors), regions concatenated, full-size logits by ``interpolate`` and ``argmax``, batch
norms as layers. Both forms have the same weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from lookwider.engine.parts import inference_dtype
from lookwider.kernels.switches import without
from lookwider.kernels.training_convolutions import trained_convolutions
from lookwider.layers.taps import Taps
from lookwider.models import Segmenter
from lookwider.scores import ScoreMap

FormName = Literal["lookwider", "plain"]


@dataclass(frozen=True)
class Form:
    """One way to compute a network.

    Attributes:
        name: ``"lookwider"`` or ``"plain"``.
        model: in evaluation mode, or in training mode.
        dtype: of the products.
    """

    name: FormName
    model: Segmenter
    dtype: torch.dtype

    @contextmanager
    def paths(self) -> Iterator[None]:
        """Use this form's paths for a while."""
        with without() if self.name == "plain" else nullcontext():
            yield

    @contextmanager
    def training_paths(self) -> Iterator[None]:
        """Use this form's paths for a while, convolutions of training among them."""
        fast = self.name == "lookwider"
        with self.paths(), trained_convolutions(self.model) if fast else nullcontext():
            yield

    def images(self, images: Tensor) -> Tensor:
        """Return preprocessed images as this form takes them."""
        if self.name == "lookwider" or self.model.training:
            return images
        return images.to(self.dtype, memory_format=torch.channels_last)

    def labels(self, scores: ScoreMap) -> Tensor:
        """Return the class of every pixel."""
        if self.name == "lookwider":
            return scores.labels()
        return upsampled(scores).argmax(1).to(torch.uint8)

    def loss(self, scores: ScoreMap, labels: Tensor) -> Tensor:
        """Return the mean cross entropy of every pixel."""
        if self.name == "lookwider":
            return scores.cross_entropy(labels)
        return functional.cross_entropy(upsampled(scores), labels)

    def segment(self, images: Tensor) -> Tensor:
        """Return the class of every pixel of preprocessed images."""
        with self.paths(), torch.inference_mode():
            return self.labels(self.main_scores(images))

    def main_scores(self, images: Tensor) -> ScoreMap:
        """Return the coarse scores of preprocessed images."""
        return next(iter(self.model.scores(self.images(images)).values()))


def fast_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the type of a name; of ``"auto"`` what the engine takes on this device.

    Example:
        >>> fast_dtype("float32", torch.device("cpu"))
        torch.float32
    """
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    return types.get(name) or inference_dtype("auto", torch.float32, device)


def inference_forms(model: Segmenter, dtype: torch.dtype) -> dict[FormName, Form]:
    """Return both forms for prediction; the model given stays as it is."""
    plain = copy.deepcopy(model).to(dtype).to(memory_format=torch.channels_last).eval()
    fast = model.compile_for_inference(dtype=dtype)
    return {"lookwider": Form("lookwider", fast, dtype), "plain": Form("plain", plain, dtype)}


def training_forms(model: Segmenter, dtype: torch.dtype) -> dict[FormName, Form]:
    """Return both forms for training, each with weights of its own."""
    return {name: Form(name, _training_copy(model), dtype) for name in ("lookwider", "plain")}


def _training_copy(model: Segmenter) -> Segmenter:
    return copy.deepcopy(model).to(memory_format=torch.channels_last).train()


def training_step(form: Form, images: Tensor, labels: Tensor) -> Callable[[], float]:
    """Return what computes the loss and its gradients once, without the optimiser."""
    mixed = form.dtype != torch.float32
    images = images.contiguous(memory_format=torch.channels_last)

    def step() -> float:
        form.model.zero_grad()
        with form.training_paths():
            with torch.autocast(images.device.type, form.dtype, enabled=mixed):
                scores = form.model.scores(images)
                loss = torch.stack([form.loss(s, labels) for s in scores.values()]).sum()
            torch.autograd.backward(loss)
        return loss.item()

    return step


def upsampled(scores: ScoreMap) -> Tensor:
    """Return full-size logits in float32 with PyTorch's own interpolation where it is the same.

    Deconvolutions and other upsamplings are two coarse rows and columns each, as in
    `ScoreMap.logits`.

    Shape:
        (N, K, H, W) float32.

    Example:
        >>> map = ScoreMap(torch.eye(2)[None, None], Taps.aligned(2, 3), Taps.aligned(2, 3))
        >>> upsampled(map)[0, 0, 0].tolist()
        [1.0, 0.5, 0.0]
    """
    wide = scores.scores.to(torch.promote_types(scores.scores.dtype, torch.float32))
    axes = (scores.rows, scores.cols)
    if all(len(taps) <= taps.length for taps in axes):  # perhaps already upsampled, but for a crop
        (top, left), (height, width) = (int(taps.low[0]) for taps in axes), scores.size
        cropped = wide[..., top : top + height, left : left + width]
        if cropped.shape[-2:] == scores.size and _same(
            axes, [Taps.identity(t.length, int(t.low[0]), len(t)) for t in axes]
        ):
            return cropped
    for make, aligned in ((Taps.aligned, True), (Taps.half_pixel, False)):
        if _same(axes, [make(taps.length, len(taps)) for taps in axes]):
            return functional.interpolate(wide, scores.size, mode="bilinear", align_corners=aligned)
    return ScoreMap(wide, scores.rows, scores.cols).logits()


def _same(axes: Sequence[Taps], others: Sequence[Taps]) -> bool:
    """Whether the upsamplings of both axes are the same, to rounding."""
    return all(
        torch.equal(a.low, b.low)
        and torch.allclose(a.low_weight, b.low_weight, rtol=0, atol=1e-9)
        and torch.allclose(a.high_weight, b.high_weight, rtol=0, atol=1e-9)
        for a, b in zip(axes, others, strict=True)
    )
