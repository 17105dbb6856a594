"""The application: the service's routes, the studio beside them, and what guards both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import metadata

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from lookwider.web.guard import Guard
from lookwider.web.models import ServedModels
from lookwider.web.problems import ProblemError, of_http, of_problem, of_validation
from lookwider.web.routes import service_routes
from lookwider.web.service import Service
from lookwider.web.settings import ServiceSettings

DESCRIPTION = """Semantic segmentation with whole-image context.

Send an image to `/v1/segment`. Formats are told by content; nothing is fetched from elsewhere.
"""


def create_app(models: ServedModels, settings: ServiceSettings, *, studio: bool) -> FastAPI:
    """Return the application of a service, which is its ``state.service``.

    Args:
        models: what is served.
        settings: limits, and who may ask.
        studio: also serve the page for the browser, at ``/``.
    """
    service = Service(models, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(service.start())
        yield
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        await service.stop()

    app = FastAPI(
        title="lookwider",
        version=metadata.version("lookwider"),
        description=DESCRIPTION,
        docs_url=None,  # its page fetches scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        middleware=[Middleware(Guard, service=service)],
        exception_handlers={
            ProblemError: of_problem,
            HTTPException: of_http,
            RequestValidationError: of_validation,
        },
    )
    app.state.service = service
    app.include_router(service_routes(service))
    if studio:
        from lookwider.web.studio import mount

        mount(app, models, settings)
    return app
