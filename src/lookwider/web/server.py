"""Listening on an address, and ending so that nothing accepted is lost."""

from __future__ import annotations

import asyncio
import errno
import math
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI

from lookwider.errors import ConfigError
from lookwider.web.service import Service
from lookwider.web.settings import ServiceSettings

DRAIN = 1.0
"""Seconds during which readiness is false and connections are still taken, to be told so."""

PAGES = 2
"""Seconds that open pages of the studio are waited for at the end; they never end themselves."""

PORTS_TRIED = 100


def listen(settings: ServiceSettings) -> socket.socket:
    """Return a socket on the settings' address; port 0 means any free one.

    Raises:
        ConfigError: the port is taken, or the address is not one of this machine.
    """
    try:
        return _bound(settings.host, settings.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(_taken(settings)) from error
        raise ConfigError(
            f"got --host {settings.host} --port {settings.port}, expected an address of this "
            f"machine and a port that it may use: {error.strerror or error}; "
            "for this machine alone leave out --host"
        ) from error


def address_of(listener: socket.socket) -> str:
    """Return the address to ask, as programs write it."""
    host, port = listener.getsockname()[:2]
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    host = everywhere.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(
    app: FastAPI,
    listener: socket.socket,
    settings: ServiceSettings,
    *,
    on_start: Callable[[], None],
    on_stop: Callable[[int], None],
) -> list[int]:
    """Serve until a signal comes, finish what was accepted, and return the signals' numbers.

    Readiness turns false first; then no connection is taken any more. A second signal ends at
    once.

    Args:
        app: of `create_app`.
        listener: of `listen`.
        settings: the same as the application's.
        on_start: told when images are taken.
        on_stop: told the number of images that are finished first.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # the application logs what matters
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=PAGES,
    )
    return asyncio.run(_serve(uvicorn.Server(config), app, listener, settings, on_start, on_stop))


async def _serve(
    server: uvicorn.Server,
    app: FastAPI,
    listener: socket.socket,
    settings: ServiceSettings,
    on_start: Callable[[], None],
    on_stop: Callable[[int], None],
) -> list[int]:
    service: Service = app.state.service
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    received: list[int] = []

    def note(number: int) -> None:
        received.append(number)
        came.set()
        if len(received) > 1:
            server.should_exit = server.force_exit = True

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(note, number)

    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not serving.done() and not (server.started and service.settled):
        await asyncio.sleep(0.02)
    if not serving.done():
        # The server's own handlers would close the door first.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handle)
        on_start()
        waiting = asyncio.create_task(came.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        on_stop(service.in_flight)
        await _drain(service, server, settings.timeout)
    server.should_exit = True
    with suppress(asyncio.CancelledError):
        await serving
    return received


async def _drain(service: Service, server: uvicorn.Server, timeout: float) -> None:
    service.admission.draining = True
    start = time.monotonic()
    until = start + math.ceil(timeout)
    while not server.force_exit and time.monotonic() < until:
        if service.in_flight == 0 and time.monotonic() > start + DRAIN:
            return
        await asyncio.sleep(0.05)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)  # taken from now on, also while the model loads
    except BaseException:
        listener.close()
        raise
    return listener


def _taken(settings: ServiceSettings) -> str:
    message = f"port {settings.port} of {settings.host} is taken by another program"
    for port in range(settings.port + 1, min(settings.port + PORTS_TRIED, 65536)):
        try:
            _bound(settings.host, port).close()
        except OSError:
            continue
        return f"{message}, expected a free one; the next is --port {port}"
    return f"{message}, expected a free one; --port 0 finds one"
