"""An image as a network sees it with another context: none, or another image's."""

from __future__ import annotations

from contextlib import nullcontext

import torch

from lookwider.errors import LookwiderError
from lookwider.inference.memory import memory_advice
from lookwider.layers.modes import evaluating
from lookwider.predictions import Prediction
from lookwider.probes.network import Network
from lookwider.probes.swap import Replacement
from lookwider.probes.swap.slots import open_slot
from lookwider.web.models import ModelInformation
from lookwider.web.studio.segmented import (
    WHOLE_PIXELS,
    Pixels,
    Segmented,
    Tell,
    Turn,
    ranks,
)

CONTEXTS = {"parsenet": "context_layers", "pspnet": "bins"}
"""Architectures with a context, and the option that is empty where it is left out."""


def has_context(information: ModelInformation) -> bool:
    """Return whether a network has a context that can be replaced, without loading it."""
    option = CONTEXTS.get(information.architecture)
    return option is not None and information.options.get(option) != []


def segment_swapped(
    network: Network,
    image: Pixels,
    replacement: Replacement,
    name: str = "image",
    *,
    most_pixels: int = WHOLE_PIXELS,
    turn: Turn = nullcontext,
    tell: Tell = lambda share, words: None,
) -> Segmented:
    """Segment an image with its context replaced, as `lookwider.probes.swap.swap_context` does.

    Args:
        network: with a context.
        image: (H, W, C) in RGB order.
        replacement: what stands in for the image's context.
        name: of the image, without extension.
        most_pixels: larger images are refused: a swap takes them whole.
        turn: held while the network computes.
        tell: told what is being done.

    Raises:
        ConfigError: the network has no context.
        LookwiderError: the image is too large, or does not fit the network.
    """
    check_whole(image, "swapping the context", most_pixels)
    tell(0.0, f"putting in {replacement.name}")
    slot = open_slot(network)
    with turn(), evaluating(network.module), torch.inference_mode(), memory_advice(name):
        view = slot.view(network.image(image))
        decision = view.decide(replacement.values(slot, view))
        ranked, shares = ranks(decision.labels, decision.probabilities)
    classes = network.classes
    assert classes is not None
    prediction = Prediction(decision.labels.cpu().numpy(), classes, name, image)
    return Segmented(prediction, ranked, shares)


def check_whole(image: Pixels, what: str, most_pixels: int = WHOLE_PIXELS) -> None:
    """Raise a `LookwiderError` for an image that is too large for what takes it whole."""
    height, width = image.shape[:2]
    if height * width > most_pixels:
        raise LookwiderError(
            f"got an image of {height} x {width} pixels, expected at most {most_pixels:,} for "
            f"{what}; open a smaller copy or a part of it"
        )
