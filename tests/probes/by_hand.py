"""Networks whose decision is known by hand, made of lookwider's own parts."""

import numpy as np
import torch
from torch import nn

from lookwider.classes import Classes
from lookwider.context import GlobalContext, PyramidContext
from lookwider.layers.grids import PIXELS
from lookwider.layers.taps import Taps
from lookwider.models import Segmenter
from lookwider.preprocessing import Preprocessing
from lookwider.scores import ScoreMap

COLOURS = Classes.named(["red", "green", "blue"])


class Pixels(nn.Module):
    """A trunk that gives the image itself."""

    layers = ("pixels",)
    channels = (3,)
    grids = (PIXELS,)
    preprocessing = Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3, scale=25.5)

    def forward(self, images):
        return (images,)


class Sum(nn.Module):
    """Scores: so much of each pixel's colour, and so much of the context's."""

    alignment = "pixel by pixel"
    grid = PIXELS
    fixed_weights = 0

    def __init__(self, local, context):
        super().__init__()
        self.local, self.context = local, context
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, features, size):
        pixels, average = (
            features if len(features) == 2 else (features[0][:, :3], features[0][:, 3:])
        )
        scores = self.local * pixels + self.context * average + self.bias
        return ScoreMap(scores, *(Taps.aligned(length, length) for length in size))


def averaging(local=0.0, context=1.0):
    """Return a network that names the colour of the pixel, of the whole image, or of both."""
    glance = GlobalContext((3,), (0,), (0,), normalise=False, dropout=0.0)
    return Segmenter(Pixels(), glance, {"main": Sum(local, context)}, classes=COLOURS)


def brightest(local=0.0, context=1.0):
    """Return the same with the maximum of each colour over the image."""
    glance = PyramidContext((3,), (1,), pooling="max", reduce=False)
    return Segmenter(Pixels(), glance, {"main": Sum(local, context)}, classes=COLOURS)


def plain(colour, size=(4, 6)):
    """Return an image of one colour, 0 red, 1 green, 2 blue."""
    image = np.zeros((*size, 3), np.uint8)
    image[..., colour] = 255
    return image


class Pooled(nn.Module):
    """Somebody's own network: the context is the output of ``pool``."""

    def __init__(self, wrap=None):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.wrap = wrap

    def forward(self, images):
        scores = self.pool(images).expand_as(images)
        return {None: scores, "dict": {"out": scores}, "tuple": (scores, images)}[self.wrap]


class Parts(nn.Module):
    """A module whose inner part returns several maps."""

    def __init__(self, kind):
        super().__init__()
        self.inner = _Inner(kind)

    def forward(self, images):
        found = self.inner(images)
        return (found["b"] if isinstance(found, dict) else found[1]) + images


class _Inner(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, images):
        pooled = images.mean((2, 3), keepdim=True)
        return {"a": images, "b": pooled} if self.kind == "dict" else (images, pooled)
