"""What stands before every address: who may ask, what answers carry, what is counted."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lookwider.web.problems import ProblemError, internal_problem, quoted
from lookwider.web.service import CLIENT_LEFT, Service
from lookwider.web.settings import LOOPBACK_NAMES

log = logging.getLogger("lookwider.web")

OPEN = ("/health/live", "/health/ready")
"""Addresses that need no token: they say nothing but that."""

PROGRAMS = ("/v1/", "/health/", "/metrics", "/openapi.json")
"""Addresses for programs; the others are the studio's."""

LINGER = 1.0
"""Seconds that what a client still sends is taken, and thrown away, after a refusal.

A connection that is closed before loses the answer on its way.
"""

PROGRAM_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Nothing is fetched from elsewhere; Gradio writes scripts and styles into the page itself."""


class Guard:
    """Middleware around the whole application.

    Args:
        app: what is guarded.
        service: whose settings say who may ask, and whose figures count.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, receive, send)
        start = time.perf_counter()
        counted = 0 if is_page(scope) else 1  # pages keep connections open for ever
        self.service.in_flight += counted
        try:
            self._check(scope)
            await self.app(scope, answer.receive, answer.send)
        except ProblemError as problem:
            await problem.answer()(scope, answer.receive, answer.send)
        except ClientDisconnect:
            answer.status = CLIENT_LEFT
        except Exception as error:
            ours = internal_problem()
            log.exception("internal error %s", ours.id, exc_info=error)
            if answer.status == 0:
                await ours.answer()(scope, answer.receive, answer.send)
        finally:
            self.service.in_flight -= counted
            route = _route(scope)
            self.service.metrics.requests.labels(route, str(answer.status)).inc()
            self.service.metrics.seconds.labels(route).observe(time.perf_counter() - start)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self.service.settings.is_loopback:
            self._check_host(headers.get("host", ""))
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers.get("host", ""):
            raise ProblemError(
                403,
                "Asked by another page",
                got=f"a request from a page of {quoted(origin)}",
                expected="none from pages of other sites",
                fix="ask from a program, or from the service's own page",
            )
        token = self.service.settings.token
        if token is not None and scope["path"] not in OPEN:
            _check_token(headers.get("authorization", ""), token, page=is_page(scope))
        if is_page(scope):
            _check_length(headers, self.service.settings.max_bytes)

    def _check_host(self, host: str) -> None:
        """Refuse names that other sites may have pointed at this machine (DNS rebinding)."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name not in LOOPBACK_NAMES | {self.service.settings.host}:
            raise ProblemError(
                421,
                "Unknown host",
                got=f"a request to the host {quoted(name)}",
                expected=f"one of {', '.join(sorted(LOOPBACK_NAMES))}",
                fix="use the address that `lookwider serve` printed, or start it with --host",
            )


class _Answer:
    """The way of one answer: adds headers, and lingers where a body was not read to its end."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._body_over = False
        self._waits = b"expect" in dict(scope["headers"])
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._body_over = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._add_headers(MutableHeaders(scope=message))
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not last or self._body_over or self._waits or not self._has_body():
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        try:
            async with asyncio.timeout(LINGER):
                while not self._body_over:
                    await self.receive()
        except TimeoutError:
            pass  # a slow one is closed
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _has_body(self) -> bool:
        names = {name for name, _ in self._scope["headers"]}
        return bool(names & {b"content-length", b"transfer-encoding"})

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Content-Security-Policy"] = PAGE_POLICY if is_page(self._scope) else PROGRAM_POLICY
        headers.setdefault("Cache-Control", "no-store")


def _check_length(headers: Headers, max_bytes: int) -> None:
    """Refuse uploads to the page that are too large, or do not say how large they are."""
    declared = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not declared.isdecimal() or int(declared) > max_bytes:
        raise ProblemError(
            413,
            "Upload too large",
            got="an upload of more bytes, or of a length that is not told",
            expected=f"at most {max_bytes:,} bytes",
            fix="take a smaller or a compressed image, such as JPEG or WebP",
            closes=True,
        )


def is_page(scope: Scope) -> bool:
    """Return whether an address is the studio's, not one for programs."""
    return not scope["path"].startswith(PROGRAMS)


def _route(scope: Scope) -> str:
    """Return an address without what clients choose of it, so that figures stay few."""
    found = getattr(scope.get("route"), "path", None)
    if isinstance(found, str) and found.startswith(PROGRAMS):
        return found
    return "page" if is_page(scope) else "other"


def _check_token(header: str, token: str, *, page: bool) -> None:
    """Compare in a time that does not tell how much was right.

    Browsers cannot send a bearer token of their own accord: for the page it is a password too.
    """
    kind, _, given = header.partition(" ")
    if kind.lower() == "basic" and page:
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            given = ""
    elif kind.lower() != "bearer":
        given = ""
    if hmac.compare_digest(given.encode(), token.encode()):
        return
    raise ProblemError(
        401,
        "Token missing or wrong",
        got="a request without the service's token" if not given else "another token",
        expected="the header Authorization: Bearer TOKEN",
        fix="ask who runs the service for its token",
        headers={"WWW-Authenticate": 'Basic realm="lookwider"' if page else "Bearer"},
    )
