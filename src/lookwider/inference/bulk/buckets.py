"""Images in buckets, by addresses such as ``s3://bucket/folder``, through pyarrow."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from lookwider.errors import DataError, MissingExtraError
from lookwider.images import IMAGE_SUFFIXES
from lookwider.inference.bulk.job import BulkImage


def is_address(source: str) -> bool:
    """Return whether a source is in a bucket, rather than a path.

    Example:
        >>> is_address("s3://bucket/a.jpg"), is_address("photos/a.jpg")
        (True, False)
    """
    return "://" in source


def bucket_images(address: str) -> list[BulkImage]:
    """Return the images below an address, named by their path from there.

    Names go without extension, unless two images would then be called the same; hidden files are
    left out, as by `find_images`.

    Args:
        address: of a folder or a file: ``s3://bucket/folder``, ``gs://...``, ``file:///folder``.
            Keys, regions and endpoints are those that pyarrow finds.

    Raises:
        DataError: there is no image, or the bucket cannot be listed.
        MissingExtraError: pyarrow is not installed.
    """
    files, below = _place(address)
    from pyarrow import fs

    try:
        about = files.get_file_info(below)
        found = (
            [about]
            if about.is_file
            else files.get_file_info(fs.FileSelector(below, recursive=True))
        )
    except OSError as error:
        raise DataError(f"{address}: cannot be listed: {error}") from error
    root = PurePosixPath(below).parent if about.is_file else PurePosixPath(below)
    shorts = {PurePosixPath(one.path).relative_to(root): one for one in found if one.is_file}
    shorts = {
        short: one
        for short, one in sorted(shorts.items())
        if short.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in short.parts)
    }
    if not shorts:
        raise DataError(
            f"found no image in {address}; expected files that end in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    stems = Counter(short.with_suffix("") for short in shorts)
    scheme = address.partition("://")[0]
    return [
        BulkImage(
            str(short if stems[short.with_suffix("")] > 1 else short.with_suffix("")),
            f"{scheme}://{root / short}",
            one.size,
            one.mtime_ns,
        )
        for short, one in shorts.items()
    ]


def download(address: str) -> bytes:
    """Return the content of a file in a bucket.

    Raises:
        DataError: it cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    files, path = _place(address)
    try:
        with files.open_input_stream(path) as stream:
            return bytes(stream.read())
    except OSError as error:
        raise DataError(f"{address}: cannot be read: {error}") from error


def _place(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    scheme, _, path = address.partition("://")
    bucket = path.partition("/")[0]
    # only the bucket is parsed as an address: in one, "%" and "#" of a name mean something else
    return _file_system(f"{scheme}://{bucket or '/'}"), path.rstrip("/")


@functools.lru_cache
def _file_system(address: str) -> Any:
    """Return the file system of a bucket; one connection for all its files."""
    try:
        from pyarrow import fs
    except ImportError as error:
        raise MissingExtraError("pyarrow", "bulk", f"reading {address}") from error
    try:
        return fs.FileSystem.from_uri(address)[0]
    except (OSError, ValueError) as error:
        raise DataError(
            f"{address}: cannot be opened: {error}; expected an address such as s3://bucket/folder "
            "that pyarrow can read, or a folder"
        ) from error
