"""The files of the studio: pictures for the page, and downloads."""

from __future__ import annotations

import io
import json
from importlib import resources
from typing import Annotated, TypeVar
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Query, Response
from PIL import Image

from lookwider.classes import IGNORE_INDEX
from lookwider.images import overlay
from lookwider.web.problems import ProblemError
from lookwider.web.studio.pictures import field_map, maps, picture, shrinking
from lookwider.web.studio.samples import SAMPLES
from lookwider.web.studio.sessions import Opened, Pane, Probed, Sessions
from lookwider.web.studio.views import result, visible

Kind = TypeVar("Kind", Opened, Pane, Probed)

THUMBNAIL = (96, 120)
"""(height, width) of a sample's small picture."""


def file_routes(sessions: Sessions) -> APIRouter:
    """Return the routes of the studio's files.

    Args:
        sessions: whose images and results are asked for.
    """
    routes = APIRouter(prefix="/studio", include_in_schema=False)

    def kept(token: str, kind: type[Kind]) -> Kind:
        found = sessions.find(token)
        if not isinstance(found, kind):
            raise ProblemError(
                404,
                "Not kept any more",
                got="a picture or result that is not there",
                expected="one of an open page",
                fix="open the image again",
            )
        return found

    @routes.get("/samples/{number}.png")
    def sample(number: int) -> Response:
        if not 0 <= number < len(SAMPLES):
            return Response(status_code=404)
        return _image(Image.fromarray(SAMPLES[number].paint(THUMBNAIL)), "private, max-age=3600")

    @routes.get("/{token}/picture")
    def shown(token: str) -> Response:
        opened = kept(token, Opened)
        height, width = opened.image.shape[:2]
        content, kind = picture(opened.image, shrinking((height, width)))
        return Response(content, media_type=kind)

    @routes.get("/{token}/maps.png")
    def label_maps(token: str) -> Response:
        found = kept(token, Pane).segmented
        return Response(maps(found, shrinking(found.size)), media_type="image/png")

    @routes.get("/{token}/field.png")
    def field(token: str) -> Response:
        found = kept(token, Probed).measured
        factor = shrinking(found.theoretical.size)
        return Response(field_map(found.shares, factor), media_type="image/png")

    @routes.get("/{token}/labels.png")
    def labels(token: str) -> Response:
        pane = kept(token, Pane)
        return _saved(pane, "_labels.png", pane.segmented.prediction.label_image())

    @routes.get("/{token}/overlay.png")
    def laid_over(
        token: str,
        opacity: Annotated[float, Query(ge=0, le=1)] = 0.55,
        hidden: Annotated[str, Query(max_length=1000)] = "",
    ) -> Response:
        pane = kept(token, Pane)
        return _saved(pane, "_overlay.png", seen(pane, opacity, hidden))

    @routes.get("/{token}/result.json")
    def figures(token: str) -> Response:
        pane = kept(token, Pane)
        content = json.dumps(result(pane), indent=1)
        return Response(content, headers=_named(pane, ".json"), media_type="application/json")

    return routes


def seen(pane: Pane, opacity: float, hidden: str) -> Image.Image:
    """Return the image with the labels laid over as the page shows them.

    Args:
        pane: whose labels.
        opacity: 0 to 1.
        hidden: ids of classes that are not shown, with commas.
    """
    prediction = pane.segmented.prediction
    assert prediction.image is not None
    table = np.arange(256, dtype=np.uint8)
    shown = visible(prediction.classes, hidden)
    table[: len(shown)][~np.array(shown)] = IGNORE_INDEX
    return overlay(prediction.image, table[prediction.labels], prediction.classes, opacity)


def asset(name: str) -> str:
    """Return one of the page's own files."""
    return (resources.files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _saved(pane: Pane, ending: str, image: Image.Image) -> Response:
    answer = _image(image, "no-store")
    answer.headers.update(_named(pane, ending))
    return answer


def _image(image: Image.Image, caching: str) -> Response:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return Response(buffer.getvalue(), headers={"Cache-Control": caching}, media_type="image/png")


def _named(pane: Pane, ending: str) -> dict[str, str]:
    """Return the header that has a browser save a file, by the image's name and the model's."""
    name = quote(f"{pane.segmented.prediction.name}_{pane.model}{ending}")
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
