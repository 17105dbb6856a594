"""The one shape of all systems: trunk, context, heads; images in, class scores out."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from lookwider.backbones import Backbone, Features
from lookwider.classes import Classes, ClassMap
from lookwider.context import Context, Summary
from lookwider.engine import InferenceTrunk, Parts, compiled_parts, inference_dtype
from lookwider.errors import ConfigError, LookwiderError
from lookwider.images import pixels_of, read_image
from lookwider.layers.dense import shift_and_stitch, stitched_grid
from lookwider.layers.modes import evaluating, half_precision
from lookwider.layers.region_sums import Place
from lookwider.layers.taps import Taps
from lookwider.models.head import Head, fused_for
from lookwider.predictions import Prediction
from lookwider.preprocessing import Preprocessing
from lookwider.scores import ScoreMap

ImageLike = str | os.PathLike[str] | Image.Image | npt.NDArray[np.generic]
"""A path, a PIL image, or an (H, W, C) or (H, W) array in RGB order."""


class Segmenter(nn.Module):
    """A segmentation network: features, what the context adds to them, and class scores.

    Built by `lookwider.create_model`; the parts can be put together freely.

    Args:
        backbone: the trunk.
        context: the context module; `NoContext` for FCN.
        heads: name -> module mapping (features, image size) to a `ScoreMap`. The first gives the
            model's logits; ``training_only`` heads are left out in evaluation.
        classes: what the first head tells apart.
        extra_classes: what the heads of further labels tell apart.
        training_only: heads for an auxiliary loss.

    Attributes:
        architecture: the keywords of `create_model` that build this network again.
        class_map: how stored label values became class ids in training, once trained.
    """

    def __init__(
        self,
        backbone: Backbone,
        context: Context,
        heads: Mapping[str, nn.Module],
        *,
        classes: Classes,
        extra_classes: Mapping[str, Classes] | None = None,
        training_only: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.context = context
        self.heads = nn.ModuleDict(dict(heads))
        self.classes = classes
        self.extra_classes = dict(extra_classes or {})
        self.class_map: ClassMap | None = None
        self.architecture: dict[str, Any] = {}
        self.training_only = training_only

    @property
    def compiled(self) -> torch.dtype | None:
        """What it computes in, when made by `compile_for_inference`."""
        return self.backbone.dtype if isinstance(self.backbone, InferenceTrunk) else None

    def compile_for_inference(
        self,
        dtype: torch.dtype | Literal["auto"] | None = None,
        device: str | torch.device | None = None,
        *,
        winograd: bool | None = None,
    ) -> Segmenter:
        """Return a network that gives the same scores in less time, for evaluation only.

        Batch normalisation is folded into the convolutions, residuals and ReLUs are fused into
        them, and on CPUs their weights are packed. This network stays as it is; train it on, and
        compile again.

        Args:
            dtype: to compute in; None for the weights' own, ``"auto"`` for bfloat16 where the
                device has units for it. Coarse scores are float32 or wider in any case.
            device: where it goes; None for where this network is.
            winograd: float32 convolutions of 3 x 3 by Winograd's algorithm: where it is faster
                (None), wherever it can be (True), or never.

        Raises:
            ConfigError: the dtype is none to compute in, or this network is compiled otherwise.

        Example:
            >>> from lookwider import create_model
            >>> fast = create_model("pspnet", backbone="resnet18").compile_for_inference()
            >>> fast(torch.zeros(1, 3, 37, 50)).shape
            torch.Size([1, 21, 37, 50])
        """
        where = self.device if device is None else torch.device(device)
        precision = inference_dtype(dtype, self.compiled or next(self.parameters()).dtype, where)
        if self.compiled is not None:
            if precision != self.compiled or winograd is not None:
                raise ConfigError(
                    f"got dtype={dtype}, winograd={winograd} for a network that is compiled to "
                    f"{self.compiled} already, expected both None; compile the original"
                )
            return self if where == self.device else copy.deepcopy(self).to(where)
        heads = {name: h for name, h in self.heads.items() if name not in self.training_only}
        plain = Parts(self.backbone, self.context, heads)
        parts = compiled_parts(plain, dtype=precision, device=where, winograd=winograd)
        fast = Segmenter(*parts, classes=self.classes, extra_classes=self.extra_classes)
        fast.class_map, fast.architecture = self.class_map, self.architecture
        return fast.eval()

    def train(self, mode: bool = True) -> Self:
        """Choose between training and evaluation.

        Raises:
            LookwiderError: the network is compiled for inference.
        """
        if mode and self.compiled is not None:
            raise LookwiderError(
                "got train() of a network compiled for inference, whose normalisations are folded "
                "into its weights; train the network that it was compiled from"
            )
        return super().train(mode)

    @property
    def num_classes(self) -> int:
        """Number of classes of the logits."""
        return len(self.classes)

    @property
    def preprocessing(self) -> Preprocessing:
        """What the weights expect of an image."""
        return self.backbone.preprocessing

    @property
    def alignment(self) -> str:
        """How the main head's scores come to lie on the image, in words."""
        return self.segmentation_heads()[0].alignment

    def segmentation_heads(self) -> list[Head]:
        """Return the heads, the main one first."""
        return [cast(Head, head) for head in self.heads.values()]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores of every pixel.

        Shape:
            (N, C, H, W) preprocessed images of any size -> (N, K, H, W) logits.
        """
        return next(iter(self.scores(images).values())).logits()

    def scores(self, images: Tensor) -> dict[str, ScoreMap]:
        """Return coarse class scores that know how they upsample, by head; the main one first.

        Shape:
            (N, C, H, W) preprocessed images of any size.

        Raises:
            LookwiderError: the images are not (N, C, H, W) floating point of the model's bands.
        """
        features = self.features(images)
        return self.classify(features, self.context.summarise(features), _size(images))

    def dense_scores(self, images: Tensor, factor: int) -> ScoreMap:
        """Return the main head's scores on a grid ``factor`` times finer, by shift-and-stitch.

        The network runs ``factor ** 2`` times on shifted images; between the denser scores the
        upsampling is bilinear (FCN, section 3.2). A factor of 1 is the plain network.

        Shape:
            (N, C, H, W) preprocessed images of any size.

        Raises:
            LookwiderError: the factor does not divide the stride of the scores.
        """
        self.check_shift_and_stitch(factor)
        main = next(iter(self.heads))
        if factor == 1:
            return self.scores(images)[main]
        coarse = self.segmentation_heads()[0].grid
        stitched = shift_and_stitch(
            lambda shifted: self.scores(shifted)[main].scores, images, int(coarse.stride), factor
        )
        grid = stitched_grid(coarse, factor)
        rows, cols = (
            Taps.centred(places, pixels, grid.stride, grid.offset)
            for places, pixels in zip(stitched.shape[-2:], _size(images), strict=True)
        )
        return ScoreMap(stitched, rows, cols)

    def check_shift_and_stitch(self, factor: int) -> None:
        """Raise a `LookwiderError` when the factor does not divide the stride of the scores."""
        stride = int(self.segmentation_heads()[0].grid.stride)
        if factor < 1 or stride % factor:
            raise LookwiderError(
                f"got shift_and_stitch={factor}, expected a divisor of the stride of the scores, "
                f"{stride}"
            )

    def features(self, images: Tensor) -> Features:
        """Return the trunk's feature maps, fine to coarse."""
        self._check(images)
        with half_precision(images.device, self.compiled):
            return self.backbone(images)

    def classify(
        self,
        features: Features,
        summary: Summary,
        size: tuple[int, int],
        places: Sequence[Place] | None = None,
    ) -> dict[str, ScoreMap]:
        """Return the scores of features within the context of a summary, which may be another's.

        With the ``places`` of a tile's maps, only the coarse scores hold.
        """
        left_out = frozenset[str]() if self.training else self.training_only
        heads = {name: head for name, head in self.heads.items() if name not in left_out}
        with half_precision(features[0].device, self.compiled):
            fused = fused_for(heads.values(), self.context, features, summary, places)
            maps = {name: cast(ScoreMap, head(fused, size)) for name, head in heads.items()}
        return maps if self.compiled is None else {n: found.widened() for n, found in maps.items()}

    def preprocess(self, image: ImageLike) -> Tensor:
        """Return an image as the network takes it.

        Shape:
            (1, C, H, W) float32, on the model's device.
        """
        return self.preprocessing(image_array(image))[None].to(self.device)

    def predict(
        self, image: ImageLike, *, probabilities: bool = False, shift_and_stitch: int = 1
    ) -> Prediction:
        """Segment one image of any size.

        Args:
            image: a path, a PIL image, or an (H, W, C) array in RGB order.
            probabilities: also return the probability of every class at every pixel.
            shift_and_stitch: how many times denser than the network's own the scores are.

        Raises:
            LookwiderError: the image cannot be read or has other bands than the model.
        """
        array = image_array(image)
        with evaluating(self), torch.inference_mode():
            scores = self.dense_scores(self.preprocess(array), shift_and_stitch)
            labels = scores.labels()[0].cpu().numpy()
            shares = scores.probabilities()[0].cpu().numpy() if probabilities else None
        name = Path(image).stem if isinstance(image, (str, os.PathLike)) else "image"
        return Prediction(
            labels=labels, classes=self.classes, name=name, image=array, probabilities=shares
        )

    def _check(self, images: Tensor) -> None:
        channels = self.preprocessing.in_channels
        if images.dim() != 4 or images.shape[1] != channels or 0 in images.shape:
            raise LookwiderError(
                f"got images of shape {tuple(images.shape)}, expected (N, {channels}, H, W)"
            )
        if not images.is_floating_point():
            raise LookwiderError(
                f"got {images.dtype} images, expected floating point: use model.preprocess(image)"
            )


def image_array(image: ImageLike) -> npt.NDArray[np.generic]:
    """Return any kind of image as an (H, W, C) array in RGB order."""
    if isinstance(image, (str, os.PathLike)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return pixels_of(image, Path("image"))
    if isinstance(image, np.ndarray):
        return image[:, :, None] if image.ndim == 2 else image
    raise LookwiderError(
        f"got an image of type {type(image).__name__}, expected a path, a PIL image or an array"
    )


def _size(images: Tensor) -> tuple[int, int]:
    return int(images.shape[-2]), int(images.shape[-1])
