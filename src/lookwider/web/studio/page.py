"""The studio's page: one component of our own, which Gradio carries and queues."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import gradio as gr
from fastapi import FastAPI
from starlette.routing import Match, Mount
from starlette.types import Scope

from lookwider.web.guard import is_page
from lookwider.web.models import ServedModels
from lookwider.web.settings import ServiceSettings
from lookwider.web.studio.files import asset, file_routes
from lookwider.web.studio.studio import Studio
from lookwider.web.studio.views import catalogue

SCRIPTS = ("drawing.js", "legend.js", "panes.js", "studio.js")
"""In the order in which they build on each other."""

FONTS = ("system-ui", "sans-serif")
MONOSPACED = ("ui-monospace", "monospace")
"""Of the reader's own system: none is fetched."""

KEPT_SECONDS = 3600
"""Uploads are deleted when they are opened; those that never are, after so long."""

POLLING_SECONDS = 0.05
"""Between two looks at the queue; Gradio's own thousandth keeps a processor warm for nothing."""

BUSY_PAGES = 32
"""Pages that may wait for the device at once; one of them computes."""


def mount(app: FastAPI, models: ServedModels, settings: ServiceSettings) -> None:
    """Put the studio at ``/`` of an application, below all routes that it has already.

    Args:
        app: the service.
        models: to look through.
        settings: limits on files and images.
    """
    studio = Studio(models, settings)
    app.include_router(file_routes(studio.sessions))
    asyncio.run(_put(app, studio))


class PageMount(Mount):
    """Gradio at ``/``, which leaves the addresses for programs alone.

    Where there is no such address or another method is expected, the service says so itself.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the page answers a request."""
        return super().matches(scope) if is_page(scope) else (Match.NONE, {})


async def _put(app: FastAPI, studio: Studio) -> None:
    """Mount the page; within an event loop, since Gradio leaves new ones open where none runs."""
    gr.mount_gradio_app(
        app,
        build(studio),
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=False,
        max_file_size=studio.settings.max_bytes,
        theme=gr.themes.Base(font=FONTS, font_mono=MONOSPACED),
        css=asset("studio.css"),
    )
    mounted = app.router.routes.pop()
    assert isinstance(mounted, Mount)
    app.router.routes.append(PageMount(mounted.path, app=mounted.app))


def build(studio: Studio) -> gr.Blocks:
    """Return the page."""
    blocks = gr.Blocks(
        title="lookwider studio",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(KEPT_SECONDS, KEPT_SECONDS),
    )
    with blocks:
        page = gr.HTML(
            value=None,
            html_template=asset("studio.html"),
            js_on_load="\n".join(asset(name) for name in SCRIPTS),
            apply_default_css=False,
            elem_id="studio",
            catalogue=catalogue(studio.models, studio.settings.max_bytes),
            progress={"state": "idle", "words": ""},
            point=None,
        )

        def show(event: gr.EventData, request: gr.Request) -> Iterator[gr.HTML]:
            for update in studio.show(_page(request), event._data):
                yield gr.HTML(**update)

        def probe(event: gr.EventData, request: gr.Request) -> Iterator[gr.HTML]:
            for update in studio.probe(_page(request), event._data):
                yield gr.HTML(**update)

        def stop(request: gr.Request) -> None:
            studio.stop(_page(request))

        def leave(request: gr.Request) -> None:
            studio.sessions.forget(_page(request))

        listening = {
            "outputs": page,
            "show_progress": "hidden",
            "trigger_mode": "multiple",
            "concurrency_limit": BUSY_PAGES,
            "concurrency_id": "device",
            "api_visibility": "undocumented",
        }
        page.show(show, **listening)
        page.probe(probe, **listening)
        page.stop(stop, queue=False, show_progress="hidden", api_visibility="undocumented")
        blocks.unload(leave)
    blocks._queue.sleep_when_free = POLLING_SECONDS
    return blocks


def _page(request: gr.Request) -> str:
    return request.session_hash or ""
