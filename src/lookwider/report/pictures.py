"""The pictures of a page: photos, label maps and errors as files within it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookwider.classes import Classes
from lookwider.evaluation.pictures import Example, errors
from lookwider.images import displayable, label_image
from lookwider.report.parts import Shown

SHOWN_SIDE = 512
"""Pixels of a picture's longer side at most; larger ones are made smaller."""


@dataclass(frozen=True)
class Picture:
    """A picture inside the page.

    Attributes:
        title: what it is, e.g. truth.
        source: the file itself, as a ``data:`` address.
        alt: what is to be seen.
        pixelated: class ids, to be enlarged without blur.
        size: (width, height).
        key: the same for the same kind of picture of every image.
    """

    title: str
    source: str
    alt: str
    pixelated: bool
    size: tuple[int, int]
    key: str = ""


def pictures(
    shown: Shown, runs: Sequence[str], classes: Classes
) -> tuple[tuple[Picture, Picture], ...]:
    """Return image and truth, then prediction and errors of each run, small enough for a page."""
    several = len(runs) > 1
    pairs = [
        (
            _photo("image", displayable(shown.image), f"{shown.name}, the image", "image"),
            _labels("truth", shown.label, classes, "truth"),
        )
    ]
    for name, prediction in zip(runs, shown.predictions, strict=True):
        share = wrong_share(shown.label, prediction, classes)
        said = f"{100 * share:.1f} % wrong"
        painted = errors(Example("", shown.image, shown.label, prediction))
        of, key = (f" of {name}", name) if several else ("", "prediction")
        if key in {"image", "truth"}:  # which other pictures are called
            key = f"run {key}"
        pairs.append(
            (
                _labels(key, prediction, classes, key),
                _photo(said, painted, f"errors{of} in red: {said}", f"errors{of}"),
            )
        )
    return tuple(pairs)


def wrong_share(
    label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8], classes: Classes
) -> float:
    """Return the share of the labelled pixels that are wrong; 0 without one.

    Example:
        >>> maps = np.array([[0, 1, 255]], np.uint8), np.array([[1, 1, 0]], np.uint8)
        >>> wrong_share(*maps, Classes.named(["sky", "sea"]))
        0.5
    """
    valid = label < len(classes)
    wrong = (label != prediction) & valid
    return float(wrong.sum() / max(int(valid.sum()), 1))


def areas(labels: npt.NDArray[np.uint8], classes: Classes, most: int = 4) -> str:
    """Say what an image holds, largest first.

    Example:
        >>> areas(np.array([[0, 1], [1, 1]], np.uint8), Classes.named(["sky", "sea"]))
        'sea 75 %, sky 25 %'
    """
    counts = np.bincount(labels.ravel(), minlength=256)[: len(classes)]
    order = [int(i) for i in np.argsort(-counts, kind="stable")[:most] if counts[i]]
    return ", ".join(f"{classes.names[i]} {100 * counts[i] / labels.size:.0f} %" for i in order)


def address(data: bytes, kind: str = "png") -> str:
    """Return a file as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def size_of(png: bytes) -> tuple[int, int]:
    """Return the (width, height) of a PNG, which stand at its beginning."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def fewer_colours(png: bytes) -> bytes:
    """Return a drawing with 256 colours where that makes its file smaller."""
    with Image.open(io.BytesIO(png)) as image:
        few = image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT)
    buffer = io.BytesIO()
    few.save(buffer, "PNG", optimize=True)
    return min(png, buffer.getvalue(), key=len)


def _photo(title: str, pixels: npt.NDArray[np.uint8], alt: str, key: str) -> Picture:
    image = Image.fromarray(pixels)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, subsampling=0)
    return Picture(title, address(buffer.getvalue(), "jpeg"), alt, False, image.size, key)


def _labels(title: str, labels: npt.NDArray[np.uint8], classes: Classes, key: str) -> Picture:
    step = -(-max(labels.shape) // SHOWN_SIDE)
    image = label_image(np.ascontiguousarray(labels[::step, ::step]), classes)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    alt = f"{title}: {areas(labels, classes)}"
    return Picture(title, address(buffer.getvalue()), alt, True, image.size, key)
