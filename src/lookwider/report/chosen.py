"""Which images a page shows: where runs differ most, the worst and the best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lookwider.data.sample import SegmentationDataset
from lookwider.errors import DataError
from lookwider.report.parts import Gallery, Shown
from lookwider.report.run_report import RunReport
from lookwider.report.tables import percent

PER_GALLERY = 4
"""Images in each."""


def chosen_galleries(
    runs: Sequence[RunReport], dataset: SegmentationDataset, count: int = PER_GALLERY
) -> tuple[Gallery, ...]:
    """Return galleries of the images that tell most about the runs.

    An image's score is its own mean IoU. The worst and the best go by the mean over the runs; of
    several runs the images where the highest and the lowest are furthest apart come first.

    Args:
        runs: with their predictions kept.
        dataset: that they were measured on.
        count: images of each gallery.

    Raises:
        DataError: a run has no predictions.
    """
    if count < 1:
        return ()
    scores = np.array([[image.mean_iou for image in run.evaluation.images] for run in runs])
    usable = np.flatnonzero(~np.isnan(scores).any(0))
    means, gaps = scores.mean(0), np.ptp(scores, axis=0)
    worst = usable[np.argsort(means[usable], kind="stable")]
    best = [i for i in worst[::-1] if i not in worst[:count]]
    several = len(runs) > 1
    by = "mean IoU of their own" + (", in the mean over the runs" if several else "")
    galleries: list[tuple[str, str, Sequence[int]]] = [
        (
            "The worst images",
            f"Those with the lowest {by}: look here first when the result is not good enough.",
            worst[:count].tolist(),
        ),
        (
            "The best images",
            f"Those with the highest {by}.",
            best[:count],
        ),
    ]
    apart = [i for i in usable[np.argsort(-gaps[usable], kind="stable")][:count] if gaps[i] > 0]
    if several:
        lead = "Those where the runs' mean IoU on the image lies furthest apart."
        galleries.insert(0, ("Where the runs differ most", lead, apart))
    return tuple(
        Gallery(title, lead, tuple(_shown(runs, dataset, int(i)) for i in indices))
        for title, lead, indices in galleries
        if len(indices)
    )


def _shown(runs: Sequence[RunReport], dataset: SegmentationDataset, index: int) -> Shown:
    sample = dataset[index]
    predictions = []
    for run in runs:
        if run.predictions is None:
            raise DataError(f"{run.name}: its predictions were not kept, expected them for images")
        predictions.append(run.predictions[sample.name])
    assert sample.label is not None  # it has a score
    scores = [percent(run.evaluation.images[index].mean_iou) for run in runs]
    if len(runs) == 1:
        note = f"mean IoU {scores[0]} %"
    else:
        said = (f"{run.name} {score}" for run, score in zip(runs, scores, strict=True))
        note = f"mean IoU in %: {', '.join(said)}"
    return Shown(sample.name, sample.image, sample.label, tuple(predictions), note)
