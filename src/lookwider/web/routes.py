"""The service's addresses."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from lookwider.web import metrics
from lookwider.web.answers import (
    AnswerFormat,
    Masks,
    SegmentationAnswer,
    hex_colour,
    json_answer,
    overlay_answer,
    png_answer,
)
from lookwider.web.batching import Job
from lookwider.web.computing import Segmentation
from lookwider.web.models import ModelInformation
from lookwider.web.problems import MEDIA_TYPE, ProblemAnswer, ProblemError
from lookwider.web.service import Service

BINARY = {"type": "string", "format": "binary"}

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/tiff", "application/octet-stream")

MEANINGS = {
    400: "The form or the request cannot be read.",
    401: "The token is missing or wrong.",
    403: "Asked by a page of another site.",
    404: "There is no such model or address.",
    405: "Another method is expected at this address.",
    408: "The body did not come in time.",
    413: "The body or the image is too large.",
    415: "The body is no image of a known format.",
    421: "The Host header names another machine.",
    422: "A parameter, or the image, is not usable.",
    429: "The queue is full; Retry-After says when to come back.",
    500: "A mistake of the service; the answer has an id for its log.",
    503: "Not ready, shutting down, or the turn did not come in time.",
    504: "The network took too long.",
}


class ServedClass(BaseModel):
    """A class that a model tells apart."""

    id: int
    name: str
    colour: str


class ModelAnswer(BaseModel):
    """A model that is served."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "pspnet",
                    "architecture": "pspnet",
                    "backbone": "resnet18",
                    "classes": [{"id": 0, "name": "sky", "colour": "#87c4eb"}],
                    "in_channels": 3,
                    "parameters": 11_400_000,
                    "options": {},
                    "scores": {"split": "val", "val_mean_iou": 0.71},
                    "loaded": True,
                }
            ]
        }
    )

    name: str
    architecture: str
    backbone: str
    classes: list[ServedClass]
    in_channels: int
    parameters: int
    options: dict[str, Any]
    scores: dict[str, Any]
    loaded: bool


class ModelsAnswer(BaseModel):
    """The models that are served; the default is meant by requests that name none."""

    default: str
    models: list[ModelAnswer]


class HealthAnswer(BaseModel):
    """How the service is."""

    status: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of answers that are problems, for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": ProblemAnswer.model_json_schema()}}
    return {status: {"description": MEANINGS[status], "content": content} for status in statuses}


EVERYWHERE = (401, 403, 421, 500)

SEGMENT_BODY = {
    "required": True,
    "content": {
        **{kind: {"schema": BINARY} for kind in IMAGE_TYPES},
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["image"], "properties": {"image": BINARY}}
        },
    },
}

SEGMENT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Labels as a palette PNG, the overlay as a JPEG, or JSON.",
        "model": SegmentationAnswer,
        "content": {"image/png": {"schema": BINARY}, "image/jpeg": {"schema": BINARY}},
    },
    **problems(400, *EVERYWHERE, 404, 408, 413, 415, 422, 429, 503, 504),
}


def service_routes(service: Service) -> APIRouter:
    """Return the service's addresses."""
    router = APIRouter()

    @router.post(
        "/v1/segment",
        tags=["segment"],
        response_class=Response,
        responses=SEGMENT_ANSWERS,
        openapi_extra={"requestBody": SEGMENT_BODY},
    )
    async def segment(
        request: Request,
        model: Annotated[
            str | None, Query(description="A name of /v1/models; the default, if none.")
        ] = None,
        format: Annotated[
            AnswerFormat, Query(description="Labels as PNG, the overlay, or JSON.")
        ] = AnswerFormat.JSON,
        masks: Annotated[
            Masks, Query(description="In JSON: COCO's run lengths, polygons, or both.")
        ] = Masks.RLE,
        simplify: Annotated[
            float, Query(ge=0, le=100, description="Pixels that polygons may be off; 0: exact.")
        ] = 0.0,
        opacity: Annotated[
            float, Query(ge=0, le=1, description="Of the overlay's colours.")
        ] = 0.55,
    ) -> Response:
        """Segment an image: its bytes are the body, or the field ``image`` of a form."""
        served = service.model(model)

        def encode(job: Job, found: Segmentation) -> Response:
            match format:
                case AnswerFormat.PNG:
                    return png_answer(job, found)
                case AnswerFormat.OVERLAY:
                    return overlay_answer(job, found, opacity)
                case AnswerFormat.JSON:
                    return json_answer(job, found, masks, simplify)

        return await service.segment(request, served, format is AnswerFormat.JSON, encode)

    @router.get("/v1/models", tags=["models"], responses=problems(*EVERYWHERE))
    async def models() -> ModelsAnswer:
        """List the models that are served."""
        found = [_answer(one.information, one.loaded) for one in service.models.values()]
        return ModelsAnswer(default=service.models.default.name, models=found)

    @router.get("/v1/models/{name}", tags=["models"], responses=problems(*EVERYWHERE, 404, 422))
    async def model(name: Annotated[str, Path(description="Of /v1/models.")]) -> ModelAnswer:
        """Describe one model."""
        served = service.model(name)
        return _answer(served.information, served.loaded)

    @router.get("/health/live", tags=["health"], responses=problems(403, 421, 500))
    async def live() -> HealthAnswer:
        """Say that the process answers."""
        return HealthAnswer(status="live")

    @router.get("/health/ready", tags=["health"], responses=problems(403, 421, 500, 503))
    async def ready() -> HealthAnswer:
        """Say whether images are accepted: a model is loaded, and the service does not end."""
        if service.admission.draining or not service.ready:
            raise ProblemError(
                503,
                "Not ready",
                got="a service that ends"
                if service.admission.draining
                else "a service that starts",
                expected="one that accepts images",
                fix="ask again after the seconds in Retry-After",
                retry_after=1,
            )
        return HealthAnswer(status="ready")

    @router.get(
        "/metrics",
        tags=["health"],
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **problems(*EVERYWHERE),
        },
    )
    async def figures() -> Response:
        """Give figures for Prometheus."""
        return Response(service.metrics.text(), headers={"Content-Type": metrics.MEDIA_TYPE})

    return router


def _answer(information: ModelInformation, loaded: bool) -> ModelAnswer:
    classes = information.classes
    return ModelAnswer(
        name=information.name,
        architecture=information.architecture,
        backbone=information.backbone,
        classes=[
            ServedClass(id=i, name=name, colour=hex_colour(colour))
            for i, (name, colour) in enumerate(zip(classes.names, classes.palette, strict=True))
        ],
        in_channels=information.in_channels,
        parameters=information.parameters,
        options=dict(information.options),
        scores=dict(information.scores),
        loaded=loaded,
    )
