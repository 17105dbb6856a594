"""What a model says about one image: labels, and on request probabilities, ready to be saved."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookwider.classes import IGNORE_INDEX, Classes
from lookwider.errors import LookwiderError
from lookwider.images import label_image, overlay, write_bytes, write_image

JPEG_LIMIT = 65_500
"""Pixels a side that a JPEG can hold; larger overlays are PNGs."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The segmentation of one image.

    Attributes:
        labels: (H, W) uint8 class ids; 255 where nothing was predicted.
        classes: names and colours of the classes.
        name: the image's name without extension, "/" between folders, as ``Sample.name``.
        image: (H, W, C) the image as it was read, for `overlay`.
        probabilities: (K, H, W) float32, one map a class.
    """

    labels: npt.NDArray[np.uint8]
    classes: Classes
    name: str
    image: npt.NDArray[np.generic] | None = None
    probabilities: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        checked_name(self.name)
        labels, count = self.labels, len(self.classes)
        if labels.ndim != 2 or labels.dtype != np.uint8:
            raise LookwiderError(
                f"got labels of shape {labels.shape} and type {labels.dtype}, "
                "expected (H, W) of uint8"
            )
        wrong = labels[(labels >= count) & (labels != IGNORE_INDEX)]
        if wrong.size:
            raise LookwiderError(
                f"got class id {int(wrong[0])} in the labels of {self.name!r}, "
                f"expected 0..{count - 1} or {IGNORE_INDEX}"
            )
        if self.image is not None and self.image.shape[:2] != labels.shape:
            raise LookwiderError(
                f"got an image of {self.image.shape[:2]} for labels of {labels.shape}, "
                "expected the same height and width"
            )
        if self.probabilities is not None and self.probabilities.shape != (count, *labels.shape):
            raise LookwiderError(
                f"got probabilities of shape {self.probabilities.shape}, "
                f"expected {(count, *labels.shape)}"
            )

    def overlay(self, opacity: float = 0.55) -> Image.Image:
        """Return the image with the classes' colours laid over."""
        if self.image is None:
            raise LookwiderError(f"prediction {self.name!r} holds no image to lay the labels over")
        return overlay(self.image, self.labels, self.classes, opacity)

    def label_image(self) -> Image.Image:
        """Return a palette image: the pixels are class ids, shown in the classes' colours."""
        return label_image(self.labels, self.classes)

    def areas(self) -> dict[str, float]:
        """Return each class's share of the image, in the order of the classes.

        Example:
            >>> labels = np.array([[0, 1], [1, 1]], np.uint8)
            >>> Prediction(labels, Classes.named(["sky", "sea"]), "beach").areas()
            {'sky': 0.25, 'sea': 0.75}
        """
        counts = np.bincount(self.labels.ravel(), minlength=256)
        return {
            name: float(counts[i]) / self.labels.size for i, name in enumerate(self.classes.names)
        }

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``NAME.png`` and what else is there; return the files written.

        ``NAME.png`` holds the class ids with the classes' palette, ``NAME_overlay.jpg`` the
        overlay (PNG when larger than a JPEG can be), ``NAME_probabilities.npz`` the arrays
        ``probabilities`` (K, H, W; float16, so exact to about 0.0005) and ``classes``. Every
        file is written atomically and ``NAME.png`` last: where it is, the others are whole.
        """
        stem = Path(folder) / checked_name(self.name)
        written = []
        if self.probabilities is not None:
            path = stem.with_name(f"{stem.name}_probabilities.npz")
            buffer = io.BytesIO()
            np.savez_compressed(
                buffer,
                probabilities=self.probabilities.astype(np.float16),
                classes=np.array(self.classes.names),
            )
            write_bytes(path, buffer.getvalue())
            written.append(path)
        if self.image is not None:
            written.append(write_overlay(self.overlay(), stem))
        path = label_path(folder, self.name)
        write_image(path, self.label_image())
        return [*written, path]


def label_path(folder: str | Path, name: str) -> Path:
    """Return where `Prediction.save` writes the labels of the image called ``name``."""
    stem = Path(folder) / checked_name(name)
    return stem.with_name(f"{stem.name}.png")


def checked_name(name: str) -> str:
    """Return ``name`` when it stays inside the folder that it is joined to.

    Raises:
        LookwiderError: the name is empty, absolute, climbs up or is not a plain path.

    Example:
        >>> checked_name("street/0001")
        'street/0001'
    """
    # "\\" separates and "c:" starts a path anew on Windows; "\0" ends one everywhere.
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts) or set(name) & {"\\", "\0", ":"}:
        raise LookwiderError(
            f"got the image name {name!r}, expected a relative path such as 'street/0001'"
        )
    return name


def write_overlay(picture: Image.Image, stem: Path) -> Path:
    """Write ``NAME_overlay.jpg`` (PNG when larger than a JPEG can be) atomically; return it."""
    if max(picture.size) > JPEG_LIMIT:
        path = stem.with_name(f"{stem.name}_overlay.png")
        write_image(path, picture)
        return path
    path = stem.with_name(f"{stem.name}_overlay.jpg")
    buffer = io.BytesIO()
    # Colour at full resolution: halved, it bleeds over thin classes' edges.
    picture.save(buffer, format="JPEG", quality=92, subsampling=0)
    write_bytes(path, buffer.getvalue())
    return path
