"""Reading a request's image, refused as soon as it is too much."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from lookwider.web.problems import ProblemError, quoted

FIELD = "image"
"""Of a form."""

MOST_FIELDS, FIELD_BYTES = 8, 4096
"""Of a form, beside the image; what they say is not used."""


async def read_body(request: Request, max_bytes: int, hold: Callable[[int], None]) -> bytes:
    """Return the image's bytes: the body, or the field ``image`` of a form.

    Args:
        request: whose body was not read yet.
        max_bytes: of the body.
        hold: told of bytes before they are kept; raises when there is no room for them.

    Raises:
        ProblemError: 413 when it is more, 415 when it is compressed, 400 for a form that is none.
        ClientDisconnect: the client left.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise ProblemError(
            415,
            "Compressed body",
            got=f"a body of Content-Encoding {quoted(encoding)}",
            expected="one that is not compressed",
            fix="send the image's own bytes",
            headers={"Accept-Encoding": "identity"},
            closes=True,
        )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_long(f"a body of {int(declared):,} bytes", max_bytes)
    stream = _limited(request, max_bytes, hold)
    if _is_form(request):
        return await _from_form(request, stream)
    return b"".join([chunk async for chunk in stream])


async def _limited(
    request: Request, max_bytes: int, hold: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > max_bytes:
            raise _too_long("a body of more bytes than that", max_bytes)
        hold(len(chunk))
        yield chunk


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower() == "multipart/form-data"


async def _from_form(request: Request, stream: AsyncGenerator[bytes, None]) -> bytes:
    parser = MultiPartParser(
        request.headers,
        stream,
        max_files=1,
        max_fields=MOST_FIELDS,
        max_part_size=FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError) as error:  # the latter of boundaries that are none
        raise _not_a_form("a form that cannot be read", closes=True) from error
    try:
        image = form.get(FIELD)
        if not isinstance(image, UploadFile):
            raise _not_a_form(f"a form without a file called {FIELD!r}")
        return await image.read()
    finally:
        await form.close()


def _too_long(got: str, max_bytes: int) -> ProblemError:
    return ProblemError(
        413,
        "Body too large",
        got=got,
        expected=f"at most {max_bytes:,} bytes",
        fix="send a smaller or a compressed image, such as JPEG or WebP",
        closes=True,
    )


def _not_a_form(got: str, *, closes: bool = False) -> ProblemError:
    return ProblemError(
        400,
        "Form not readable",
        got=got,
        expected=f"multipart/form-data with one file, the field {FIELD!r}",
        fix=f"curl -F {FIELD}=@photo.jpg, or send the image alone as the body",
        closes=closes,
    )
