"""Plant causes of failure in perfect predictions of the built-in scenes, and look for them.

python benchmarks/planted_failures.py --scenes 100 --size 96x128

Prints a Markdown table: how many planted objects of each kind were found as that kind, and how
many of the pixels found were planted so.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lookwider.data.sample import LabelArray, Sample
from lookwider.data.scenes import SCENE_CLASSES, SceneDataset
from lookwider.data.scenes.classes import SceneClass
from lookwider.diagnosis import ClassRelations, Thresholds
from lookwider.diagnosis.failures import KINDS, image_failures
from lookwider.diagnosis.objects import LabelObject, objects_of

NONE = "none"
"""What is planted so that nothing should be found: borders that are a pixel off."""

ASTRAY = {SceneClass.BOAT: SceneClass.CAR, SceneClass.CAR: SceneClass.BOAT}
SPLIT = {SceneClass.HOUSE: SceneClass.SKYSCRAPER, SceneClass.SKYSCRAPER: SceneClass.HOUSE}
DROPPED = (SceneClass.PILLOW, SceneClass.POLE, SceneClass.SIGN, SceneClass.LIGHT)
STUFF = (
    *(SceneClass.SKY, SceneClass.GRASS, SceneClass.WATER, SceneClass.SHORE, SceneClass.ROAD),
    *(SceneClass.PAVEMENT, SceneClass.WALL, SceneClass.FLOOR, SceneClass.BED),
)
LEAST_BUILDING = 0.01
"""Share of the image that a building has at least to be split."""


@dataclass
class Planted:
    """A prediction that is perfect but for what was planted.

    Attributes:
        prediction: (H, W) class ids.
        objects: (kind, pixels) of everything planted; the pixels are (H, W).
    """

    prediction: LabelArray
    objects: list[tuple[str, npt.NDArray[np.bool_]]] = field(default_factory=list)

    def put(self, kind: str, pixels: npt.NDArray[np.bool_], values: LabelArray | int) -> None:
        """Overwrite pixels of the prediction."""
        self.prediction[pixels] = values[pixels] if isinstance(values, np.ndarray) else values
        self.objects.append((kind, pixels))


def plant(label: LabelArray) -> Planted:
    """Turn vessels into what they are not, split buildings, drop small things, move borders."""
    planted = Planted(label.copy())
    move_borders(label, planted)
    for region in objects_of(label, least=4):
        own = SceneClass(region.class_id)
        pixels = np.zeros(label.shape, bool)
        pixels[region.slices] = region.mask
        if own in ASTRAY:
            planted.put("mismatched", pixels, ASTRAY[own])
        elif own in SPLIT and region.area >= LEAST_BUILDING * label.size:
            planted.put("confusable", right_half(region, label.shape), SPLIT[own])
        elif own in DROPPED:
            planted.put("inconspicuous", pixels, nearest_other(label, pixels))
    return planted


def right_half(region: LabelObject, size: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return the half of an object right of the column that halves its area."""
    columns = np.cumsum(region.mask.sum(0))
    cut = int(np.searchsorted(columns, columns[-1] / 2)) + 1
    half = region.mask.copy()
    half[:, :cut] = False
    pixels = np.zeros(size, bool)
    pixels[region.slices] = half
    return pixels


def nearest_other(label: LabelArray, pixels: npt.NDArray[np.bool_]) -> LabelArray:
    """Return the labels with an object painted over with what is next to it."""
    rows, cols = ndimage.distance_transform_edt(pixels, return_distances=False, return_indices=True)
    painted: LabelArray = label[rows, cols]
    return painted


def move_borders(label: LabelArray, planted: Planted) -> None:
    """Let the ground and the sky grow by a pixel into other ground and sky."""
    ground = np.isin(label, STUFF)
    grown = ndimage.maximum_filter(np.where(ground, label, 0), 3).astype(np.uint8)
    moved = ground & (grown != label)
    if moved.any():
        planted.put(NONE, moved, grown)


@dataclass
class Score:
    """What became of one planted kind.

    Attributes:
        objects: planted.
        recovered: those of which at least half was found as this kind.
        planted: pixels.
        hit: planted pixels that were found as this kind.
        found: pixels found as this kind.
        strange: pixels found as this kind where none of any kind was planted, or moved borders.
    """

    objects: int = 0
    recovered: int = 0
    planted: int = 0
    hit: int = 0
    found: int = 0
    strange: int = 0


def score(
    samples: Iterable[Sample], relations: ClassRelations, thresholds: Thresholds
) -> dict[str, Score]:
    """Plant in every sample, look for failures, and count by kind."""
    scores = {kind: Score() for kind in (*KINDS, NONE)}
    unseen = relations.unseen(thresholds.together, thresholds.rare)
    for sample in samples:
        assert sample.label is not None
        planted = plant(sample.label)
        found = image_failures(sample, planted.prediction, unseen, SCENE_CLASSES, thresholds)
        masks = {**found.masks, NONE: found.other}
        causes = np.zeros(sample.label.shape, bool)
        for kind, pixels in planted.objects:
            wrong = pixels & found.wrong
            causes |= wrong if kind != NONE else False
            if not wrong.any():
                continue
            hit = int((masks[kind] & wrong).sum())
            own = scores[kind]
            own.objects += 1
            own.recovered += 2 * hit >= wrong.sum()
            own.planted += int(wrong.sum())
            own.hit += hit
        for kind in KINDS:
            scores[kind].found += int(masks[kind].sum())
            scores[kind].strange += int((masks[kind] & ~causes).sum())
    return scores


def table(scores: dict[str, Score]) -> str:
    """Return the scores as Markdown, in per cent."""
    lines = [
        "| planted | objects | found so | pixels | found so | of those found: planted so "
        "| planted |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, own in scores.items():
        cells = [kind, str(own.objects), per_cent(own.recovered, own.objects)]
        cells += [f"{own.planted:,}", per_cent(own.hit, own.planted)]
        cells += [per_cent(own.hit, own.found), per_cent(own.found - own.strange, own.found)]
        lines.append("| " + " | ".join(cells) + " |")
    kinds = [scores[kind] for kind in KINDS]
    right, every = sum(own.recovered for own in kinds), sum(own.objects for own in kinds)
    lines.append(f"\n{right} of {every} planted objects found: {per_cent(right, every)} %")
    return "\n".join(lines)


def per_cent(part: int, whole: int) -> str:
    """Return a share; a dash of nothing."""
    return f"{100 * part / whole:.1f}" if whole else "-"


def main() -> None:
    """Plant, look, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--size", default="96x128")
    parser.add_argument("--together", default="touching", choices=("touching", "image"))
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    data = SceneDataset.split("test", count=options.scenes, size=(height, width))
    relations = ClassRelations.of(SceneDataset.split("train", size=(height, width)))
    thresholds = Thresholds(together=options.together)
    samples = (data[i] for i in range(len(data)))
    print(table(score(samples, relations, thresholds)))


if __name__ == "__main__":
    main()
