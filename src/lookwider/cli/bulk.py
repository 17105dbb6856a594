"""``lookwider predict --workers N`` and ``--engine ray``: which images, and what needs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lookwider.errors import ConfigError

if TYPE_CHECKING:
    from lookwider.inference.bulk import BulkImage


def images_of(inputs: Sequence[str], out: Path) -> list[BulkImage]:
    """Return the images of files, folders and addresses."""
    from lookwider.inference.bulk.buckets import bucket_images, is_address
    from lookwider.inference.bulk.run import bulk_images
    from lookwider.inference.predictor import find_images

    addresses = [given for given in inputs if is_address(given)]
    images = [image for given in addresses for image in bucket_images(given)]
    paths = [given for given in inputs if not is_address(given)]
    return images + (bulk_images(find_images(paths, exclude=out)) if paths else [])


def check_one_process(inputs: Sequence[str], address: str | None) -> None:
    """Raise a `ConfigError` for what only a job of several workers can do."""
    from lookwider.inference.bulk.buckets import is_address

    bucket = next((given for given in inputs if is_address(given)), None)
    if bucket is not None:
        raise ConfigError(
            f"got {bucket} in one process, expected files and folders; add --workers 1"
        )
    if address is not None:
        raise ConfigError(f"got --address {address} in one process; add --engine ray")
