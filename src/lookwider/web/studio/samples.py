"""Built-in pictures to begin with, painted when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lookwider.data.scenes import SCENE_KINDS, SPLITS, scene

SEED = tuple(SPLITS).index("test")
"""The scenes of the test split, which no network was trained on."""

INDEX = 1
"""One index: the lake's boats and the road's cars are the same blobs in the same places."""

SIZE = (128, 160)
"""As the demo's networks saw them."""

LARGE = (2048, 2560)
"""Goes in tiles."""


@dataclass(frozen=True)
class SamplePicture:
    """A scene.

    Attributes:
        name: to be shown.
        kind: of scene.
        index: of the scene.
        size: (height, width).
    """

    name: str
    kind: str
    index: int = INDEX
    size: tuple[int, int] = SIZE

    def paint(self, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """Return the picture, or the same in another size.

        Shape:
            (H, W, 3).
        """
        return scene(SEED, self.index, size or self.size, kind=self.kind).image


SAMPLES = (
    *(SamplePicture(kind, kind) for kind in SCENE_KINDS),
    SamplePicture("large", "skyline", 9, LARGE),
)
