"""What the page is told: names, colours, figures and addresses, no pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lookwider.classes import Classes, Colour
from lookwider.web.models import ServedModels
from lookwider.web.studio.context import has_context
from lookwider.web.studio.pictures import shrinking
from lookwider.web.studio.samples import SAMPLES
from lookwider.web.studio.segmented import WHOLE_PIXELS
from lookwider.web.studio.sessions import Opened, Pane, Probed, Session
from lookwider.web.studio.wishes import Place

MOST_MOVES = 3
"""Changes from class to class that are named."""

View = dict[str, Any]


def catalogue(models: ServedModels, max_bytes: int) -> View:
    """Return what a page offers: networks, samples, and how large a file may be."""
    return {
        "models": [
            {
                "name": name,
                "about": f"{model.information.architecture}, {model.information.backbone}, "
                f"{len(model.classes)} classes",
                "context": has_context(model.information),
            }
            for name, model in models.items()
        ],
        "samples": [
            {"name": sample.name, "lends": math.prod(sample.size) <= WHOLE_PIXELS}
            for sample in SAMPLES
        ],
        "maxBytes": max_bytes,
    }


def session_view(session: Session) -> View:
    """Return what is drawn of a session."""
    assert session.image is not None
    return {
        "image": image_view(session.image),
        "other": None if session.other is None else image_view(session.other),
        "panes": [pane_view(pane) for pane in session.shown],
        "difference": difference_view(*session.shown) if len(session.shown) == 2 else None,
    }


def image_view(opened: Opened) -> View:
    """Return an image's name, size and address."""
    height, width = opened.image.shape[:2]
    return {
        "name": opened.name,
        "height": height,
        "width": width,
        "factor": shrinking((height, width)),
        "source": address(opened.token, "picture"),
    }


def pane_view(pane: Pane) -> View:
    """Return a pane's title, figures and addresses."""
    found = pane.segmented
    return {
        "model": pane.model,
        "context": pane.context,
        "tiles": found.tiles,
        "confidence": found.mean_confidence,
        "probes": found.size[0] * found.size[1] <= WHOLE_PIXELS,
        "classes": [
            {"name": name, "colour": colour_of(colour), "area": found.areas[name]}
            for name, colour in zip(found.classes.names, found.classes.palette, strict=True)
        ],
        "maps": address(pane.token, "maps.png"),
        "labels": address(pane.token, "labels.png"),
        "overlay": address(pane.token, "overlay.png"),
        "json": address(pane.token, "result.json"),
    }


def difference_view(first: Pane, second: Pane) -> View | None:
    """Return the share of pixels that differ, and the commonest changes; None between classes."""
    classes = first.segmented.classes
    if classes.names != second.segmented.classes.names:
        return None
    before, after = (pane.segmented.prediction.labels for pane in (first, second))
    changed = before != after
    pairs = before[changed].astype(np.int64) * 256 + after[changed]
    kinds, counts = np.unique(pairs, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_MOVES]
    return {
        "share": float(changed.mean()),
        "moves": [
            {
                "before": classes.names[int(kinds[i]) // 256],
                "after": classes.names[int(kinds[i]) % 256],
                "share": float(counts[i] / changed.size),
            }
            for i in order
        ],
    }


def point_view(place: Place, pane: Pane) -> View:
    """Return a pixel's likeliest classes."""
    classes = pane.segmented.classes
    return {
        "pane": place.pane,
        "row": place.row,
        "col": place.col,
        "likeliest": [
            {"name": classes.names[k], "colour": colour_of(classes.palette[k]), "share": share}
            for k, share in pane.segmented.likeliest(place.row, place.col)
        ],
        "field": None,
    }


def field_view(probed: Probed, pane: Pane) -> View:
    """Return a field's figures and address."""
    found = probed.measured
    box = found.theoretical.box
    return {
        "field": {
            "source": address(probed.token, "field.png"),
            "side": found.side,
            "shareOfImage": found.share_of_image,
            "shareOfTheoretical": found.share_of_theoretical,
            "threshold": found.threshold,
            "window": found.settings["window"],
            "box": list(box),
            "ownContext": bool(pane.context),
        }
    }


def result(pane: Pane) -> View:
    """Return the figures of a pane, as its JSON file holds them."""
    found = pane.segmented
    labels = found.prediction.labels.ravel()
    counts = np.bincount(labels, minlength=256)
    sums = np.bincount(labels, weights=found.shares[0].ravel(), minlength=256)
    return {
        "image": found.prediction.name,
        "height": found.size[0],
        "width": found.size[1],
        "model": pane.model,
        "context": pane.context or "its own",
        "tiles": found.tiles,
        "mean_confidence": round(found.mean_confidence, 4),
        "classes": [
            {
                "id": k,
                "name": name,
                "colour": colour_of(found.classes.palette[k]),
                "pixels": int(counts[k]),
                "area": found.areas[name],
                "confidence": round(sums[k] / counts[k] / 255, 4) if counts[k] else None,
            }
            for k, name in enumerate(found.classes.names)
        ],
    }


def address(token: str, file: str) -> str:
    """Return where a file is, seen from the page."""
    return f"studio/{token}/{file}"


def colour_of(colour: Colour) -> str:
    """Return a colour as CSS writes it.

    Example:
        >>> colour_of((255, 0, 16))
        '#ff0010'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def visible(classes: Classes, hidden: str) -> list[bool]:
    """Return which classes are not among the hidden ones, given as ids with commas.

    Example:
        >>> visible(Classes.named(["sky", "sea", "sand"]), "1,7,x")
        [True, False, True]
    """
    ids = set(hidden.split(","))
    return [str(k) not in ids for k in range(len(classes))]
