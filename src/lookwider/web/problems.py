"""Answers that say what was got, what was expected and the fix; never what is inside."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

LONGEST_QUOTE = 100
"""Characters of a request's own text that an answer repeats."""


class ProblemAnswer(BaseModel):
    """Why a request was not done (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Image too large",
                    "status": 413,
                    "detail": "got an image of 50000 x 50000 pixels, expected at most "
                    "50,000,000 pixels; make it smaller",
                    "got": "an image of 50000 x 50000 pixels",
                    "expected": "at most 50,000,000 pixels",
                    "fix": "make it smaller",
                    "id": "5f2b8c0de41a",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    got: str
    expected: str
    fix: str
    id: str


class ProblemError(Exception):
    """A request that is not done.

    Args:
        status: of HTTP.
        title: the kind of problem.
        got: what came.
        expected: what should have.
        fix: what to do.
        retry_after: seconds after which the same request may do.
        headers: further ones of the answer.
        closes: whether the connection ends with the answer, as after half a body.
    """

    def __init__(
        self,
        status: int,
        title: str,
        *,
        got: str,
        expected: str,
        fix: str,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        closes: bool = False,
    ) -> None:
        self.status, self.title = status, title
        self.got, self.expected, self.fix = got, expected, fix
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
        if closes:
            self.headers["Connection"] = "close"
        self.id = secrets.token_hex(6)
        super().__init__(self.detail)

    @property
    def detail(self) -> str:
        """The whole in one sentence."""
        return f"got {self.got}, expected {self.expected}; {self.fix}"

    def answer(self) -> Response:
        """Return it as an answer."""
        content = ProblemAnswer(
            type="about:blank",
            title=self.title,
            status=self.status,
            detail=self.detail,
            got=self.got,
            expected=self.expected,
            fix=self.fix,
            id=self.id,
        )
        return Response(content.model_dump_json(), self.status, self.headers, MEDIA_TYPE)


def internal_problem() -> ProblemError:
    """Return what is said of a mistake of ours; the log has the rest under its id."""
    return ProblemError(
        500,
        "Internal error",
        got="a request that the service could not do",
        expected="none such",
        fix="report the id to who runs the service; its log says more",
    )


def quoted(text: str) -> str:
    r"""Return a request's own text, short and printable.

    Example:
        >>> quoted("fcn\n8s")
        "'fcn\\n8s'"
    """
    return ascii(text[:LONGEST_QUOTE])


async def of_problem(request: Request, error: Exception) -> Response:
    """Answer a `ProblemError`."""
    assert isinstance(error, ProblemError)
    return error.answer()


async def of_http(request: Request, error: Exception) -> Response:
    """Answer what the routing refuses: unknown addresses and methods."""
    assert isinstance(error, HTTPException)
    method, path = request.method, quoted(request.url.path)
    expected, fix = "an address of the service", "see /openapi.json for all of them"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        expected = f"{(error.headers or {}).get('Allow', 'another method')} there"
    title = HTTPStatus(error.status_code).phrase
    return ProblemError(
        error.status_code,
        title,
        got=f"{quoted(method)[1:-1]} {path}",
        expected=expected,
        fix=fix,
        headers=error.headers,
    ).answer()


async def of_validation(request: Request, error: Exception) -> Response:
    """Answer parameters that are none."""
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return ProblemError(
        422,
        "Parameter not understood",
        got=f"{where}={quoted(str(first.get('input')))}",
        expected=str(first["msg"]).removeprefix("Input should be "),
        fix="see /openapi.json for what each parameter may be",
    ).answer()
