"""Images of a job, from files and from buckets, with what a manifest says about them."""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from lookwider.errors import DataError, MissingExtraError
from lookwider.images import read_image
from lookwider.inference.bulk.buckets import download, is_address
from lookwider.inference.bulk.job import BulkImage
from lookwider.weights.safe_files import sha256


@dataclass(frozen=True, eq=False)
class Loaded:
    """An image that was read.

    Attributes:
        image: which one.
        array: (H, W, C), see `read_image`.
        bytes: size of its file.
        modified: when that was changed last, in nanoseconds since 1970; None where that is unknown.
        sha256: of its file.
        seconds: that it took.
    """

    image: BulkImage
    array: npt.NDArray[np.generic]
    bytes: int
    modified: int | None
    sha256: str
    seconds: float


def load_image(image: BulkImage, scratch: Path) -> Loaded:
    """Read an image.

    Args:
        image: which one.
        scratch: folder for the copy of a file from a bucket.

    Raises:
        DataError: it cannot be read.
        MissingExtraError: it needs a library that is not installed, or its bucket does.
    """
    started = time.perf_counter()
    if not is_address(image.source):
        path = Path(image.source)
        array = read_image(path)
        about = path.stat()
        modified: int | None = about.st_mtime_ns
        size, digest = about.st_size, sha256(path)
    else:
        content = download(image.source)
        modified = image.modified
        size, digest = len(content), hashlib.sha256(content).hexdigest()
        suffix = PurePosixPath(image.source).suffix
        with tempfile.NamedTemporaryFile(dir=scratch, suffix=suffix) as copy:
            copy.write(content)
            copy.flush()
            try:
                array = read_image(copy.name)
            except (DataError, MissingExtraError) as error:
                raise DataError(str(error).replace(copy.name, image.source)) from error
    return Loaded(image, array, size, modified, digest, time.perf_counter() - started)
