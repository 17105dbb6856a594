"""A segmentation as an answer: a label PNG, an overlay, or JSON."""

from __future__ import annotations

import io
import json
import math
from enum import StrEnum
from typing import Any

import numpy as np
from fastapi import Response
from PIL import Image
from pydantic import BaseModel, ConfigDict

from lookwider.classes import Colour
from lookwider.images import label_image, overlay
from lookwider.predictions import JPEG_LIMIT
from lookwider.web.batching import Job
from lookwider.web.computing import Segmentation
from lookwider.web.problems import ProblemError
from lookwider.web.shapes import Runs, polygons

MOST_NUMBERS = 4_000_000
"""Of run lengths and coordinates in one answer; a PNG says the same in less."""


class AnswerFormat(StrEnum):
    """What an answer is."""

    PNG = "png"
    OVERLAY = "overlay"
    JSON = "json"


class Masks(StrEnum):
    """How an answer in JSON says which pixels are of a class."""

    NONE = "none"
    RLE = "rle"
    POLYGONS = "polygons"
    BOTH = "both"


class RunLengths(BaseModel):
    """COCO's uncompressed run lengths: pixels outside, inside, outside, ... down the columns."""

    size: tuple[int, int]
    counts: list[int]


class ClassAnswer(BaseModel):
    """What an image shows of one class."""

    id: int
    name: str
    colour: str
    pixels: int
    area: float
    confidence: float
    rle: RunLengths | None = None
    polygons: list[list[list[tuple[float, float]]]] | None = None


class SegmentationAnswer(BaseModel):
    """The classes that an image shows, in the order of their ids."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "pspnet",
                    "height": 2,
                    "width": 3,
                    "classes": [
                        {
                            "id": 0,
                            "name": "sky",
                            "colour": "#87c4eb",
                            "pixels": 3,
                            "area": 0.5,
                            "confidence": 0.97,
                            "rle": {"size": [2, 3], "counts": [0, 1, 1, 1, 1, 1, 1]},
                        },
                        {
                            "id": 6,
                            "name": "road",
                            "colour": "#5c5c64",
                            "pixels": 3,
                            "area": 0.5,
                            "confidence": 0.91,
                            "rle": {"size": [2, 3], "counts": [1, 1, 1, 1, 1, 1]},
                        },
                    ],
                }
            ]
        }
    )

    model: str
    height: int
    width: int
    classes: list[ClassAnswer]


def png_answer(job: Job, found: Segmentation) -> Response:
    """Answer with the class ids as a palette PNG, as `lookwider predict` writes it."""
    buffer = io.BytesIO()
    label_image(found.labels, job.model.classes).save(buffer, format="PNG")
    return Response(buffer.getvalue(), media_type="image/png")


def overlay_answer(job: Job, found: Segmentation, opacity: float) -> Response:
    """Answer with the image under the classes' colours: a JPEG, or a PNG where that is too long."""
    picture = overlay(job.pixels, found.labels, job.model.classes, opacity)
    return _picture(picture)


def json_answer(job: Job, found: Segmentation, masks: Masks, simplify: float) -> Response:
    """Answer with areas, confidences, and the masks that were asked for.

    Raises:
        ProblemError: the masks are too many numbers.
    """
    height, width = found.labels.shape
    counts = np.bincount(found.labels.ravel(), minlength=256)
    runs = Runs.of(found.labels) if masks in (Masks.RLE, Masks.BOTH) else None
    present = [i for i in range(len(job.model.classes)) if counts[i]]
    left, classes = MOST_NUMBERS, []
    for number in present:
        entry = _entry(job, found, number, int(counts[number]))
        if runs is not None:
            lengths = runs.counts(number)
            left = _less(left, lengths.size)
            entry["rle"] = {"size": [height, width], "counts": lengths.tolist()}
        if masks in (Masks.POLYGONS, Masks.BOTH):
            areas = polygons(found.labels == number, simplify)
            left = _less(left, sum(ring.size for rings in areas for ring in rings))
            entry["polygons"] = [[_round(ring) for ring in rings] for rings in areas]
        classes.append(entry)
    content = {"model": job.model.name, "height": height, "width": width, "classes": classes}
    return Response(json.dumps(content, separators=(",", ":")), media_type="application/json")


def hex_colour(colour: Colour) -> str:
    """Return a colour as pages write it.

    Example:
        >>> hex_colour((255, 128, 0))
        '#ff8000'
    """
    return "#" + bytes(colour).hex()


def _entry(job: Job, found: Segmentation, number: int, pixels: int) -> dict[str, Any]:
    assert found.confidence is not None
    confidence = float(found.confidence[number])
    assert math.isfinite(confidence)
    return {
        "id": number,
        "name": job.model.classes.names[number],
        "colour": hex_colour(job.model.classes.palette[number]),
        "pixels": pixels,
        "area": pixels / found.labels.size,
        "confidence": round(confidence, 6),
    }


def _round(ring: np.ndarray[Any, np.dtype[np.float64]]) -> list[list[float]]:
    """Return points as numbers; halves are exact."""
    points: list[list[float]] = ring.round(1).tolist()
    return points


def _less(left: int, numbers: int) -> int:
    if numbers > left:
        raise ProblemError(
            422,
            "Answer too long",
            got=f"masks of more than {MOST_NUMBERS:,} numbers",
            expected="fewer",
            fix="ask for format=png, which says the same in less, or for polygons with simplify=2",
        )
    return left - numbers


def _picture(picture: Image.Image) -> Response:
    buffer = io.BytesIO()
    if max(picture.size) > JPEG_LIMIT:
        picture.save(buffer, format="PNG")
        return Response(buffer.getvalue(), media_type="image/png")
    # Colour at full resolution: halved, it bleeds over thin classes' edges.
    picture.save(buffer, format="JPEG", quality=92, subsampling=0)
    return Response(buffer.getvalue(), media_type="image/jpeg")
