"""What a page may ask for; nothing it says is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from gradio.utils import get_upload_folder
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lookwider.errors import DataError, LookwiderError
from lookwider.web.decoding import decode, read_header
from lookwider.web.studio.samples import SAMPLES
from lookwider.web.studio.sessions import Opened

Asked = TypeVar("Asked", bound=BaseModel)


class Source(BaseModel):
    """Where an image comes from: a file that was uploaded, or a sample."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    upload: str | None = Field(default=None, max_length=4096)
    sample: int | None = Field(default=None, ge=0, lt=len(SAMPLES))

    @model_validator(mode="after")
    def _is_one(self) -> Source:
        if (self.upload is None) == (self.sample is None):
            raise ValueError("expected an upload or a sample")
        return self

    def open(self, max_pixels: int) -> Opened:
        """Return the image; an uploaded file is deleted.

        Raises:
            DataError: the file is gone.
            ProblemError: it is no image that can be read, or too large.
        """
        if self.sample is not None:
            chosen = SAMPLES[self.sample]
            return Opened(chosen.paint(), chosen.name)
        assert self.upload is not None
        path = uploaded(self.upload)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError("the image is not there any more; open it again") from error
        finally:
            path.unlink(missing_ok=True)
        return Opened(decode(read_header(content, max_pixels)), path.stem or "image")


class Wish(BaseModel):
    """What is to be seen.

    Attributes:
        image: to look at; the last one when None.
        other: whose context is borrowed; the last one when None.
        model: name of the network.
        against: what stands beside it: nothing, the same network without its context or with
            another image's, or another network.
        rival: name of the other network.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Source | None = None
    other: Source | None = None
    model: str = Field(max_length=1000)
    against: Literal["nothing", "zeros", "other", "model"] = "nothing"
    rival: str | None = Field(default=None, max_length=1000)


class Place(BaseModel):
    """A pixel of a pane.

    Attributes:
        pane: number of the pane.
        row: of the image.
        col: of the image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pane: int = Field(ge=0, le=1)
    row: int = Field(ge=0)
    col: int = Field(ge=0)


def understood(kind: type[Asked], data: object) -> Asked:
    """Return what a page asks for.

    Raises:
        LookwiderError: it is none of what a page may ask for.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise LookwiderError(
            "got a request that is not one of this page's, expected its own; reload the page"
        ) from error


def uploaded(path: str) -> Path:
    """Return the path of a file that was uploaded; no other file of this machine.

    Raises:
        DataError: it lies elsewhere.
    """
    found, folder = Path(path).resolve(), Path(get_upload_folder()).resolve()
    if found == folder or not found.is_relative_to(folder):
        raise DataError("got a file that was not uploaded, expected an image of yours; open it")
    return found
