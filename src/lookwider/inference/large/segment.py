"""Segment an image tile by tile, in a memory that does not grow with it, so that nothing is lost.

The first pass keeps every tile's summary in the work folder, the second its labels; then the
labels are put together. Whatever stops it, the same call goes on where it was, and the results are
the same to the bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from lookwider.images import overlay
from lookwider.inference.compiled import for_inference
from lookwider.inference.large.budget import Cost, Tiling, chosen_tile, make_plan, measured_cost
from lookwider.inference.large.job import OnProgress, TiledJob, passes_of
from lookwider.inference.large.reading import WindowedImage, open_windows
from lookwider.inference.large.work import WorkFolder, image_identity, network_identity
from lookwider.inference.large.writing import (
    copy_image,
    label_path,
    move_written,
    preview,
    write_labels,
)
from lookwider.inference.memory import forget_peak, peak_memory
from lookwider.inference.overwriting import check_images_stay
from lookwider.inference.tiles import OwnContextPlan, TilePlan
from lookwider.models import Segmenter
from lookwider.predictions import write_overlay

RunTiles = Callable[[TiledJob, OnProgress], int]
"""Does what is not finished of an image's tiles, and returns how many were."""


@dataclass(frozen=True)
class LargeReport:
    """How an image was segmented in tiles.

    Attributes:
        name: of the image.
        size: its (height, width).
        tile: (height, width) of what a tile answers for.
        tiles: how many there are.
        passes: over the image.
        halo: pixels read around a tile, at most.
        halo_needed: as many as it takes to be exact; None with tiles' own context.
        exact: whether the scores are those of the whole image's pixels, but for rounding.
        other_colours: whether the pixels are another decoder's than those of an image in one
            piece: a JPEG's colours then may be a few levels off.
        share_cut: share of places that see less than in the whole image; 1 with own context.
        pixels_read: by the network in a pass, as a multiple of the image's.
        finished_before: tiles of both passes that an earlier, stopped call had finished.
        peak_memory: bytes that this process held at most, or None where the system does not tell.
        seconds: that it took.
    """

    name: str
    size: tuple[int, int]
    tile: tuple[int, int]
    tiles: int
    passes: int
    halo: int
    halo_needed: int | None
    exact: bool
    other_colours: bool
    share_cut: float
    pixels_read: float
    finished_before: int
    peak_memory: int | None
    seconds: float


def predict_large(
    model: Segmenter,
    path: str | Path,
    out: str | Path,
    tiling: Tiling,
    *,
    name: str | None = None,
    cost: Cost | None = None,
    on_progress: OnProgress | None = None,
    run: RunTiles = TiledJob.run,
) -> LargeReport:
    """Segment an image that need not fit into memory.

    Writes ``NAME_overlay.jpg``, a small picture, and then ``NAME.tif``, the label map with
    palette and the image's georeference. What is finished is kept in ``out/.NAME.tiles``.

    Args:
        model: on the device to compute on; compiled for inference first, where it is not.
        path: of a TIFF, PNG, JPEG or .npy.
        out: folder of the results.
        tiling: how large tiles are.
        name: what the results are called; by default as the image.
        cost: from `measured_cost`, where it is known already.
        on_progress: told how far it is.
        run: does the tiles; `lookwider.inference.bulk.SharedTiles` does them by several workers.

    Raises:
        ConfigError: the budget is too small, or no tile gives the scores of the whole image; or
            the results would replace it.
        DataError: the image cannot be read; what was finished is kept.
        LookwiderError: results cannot be written, and what was finished is kept; or another
            process is at the same results.
    """
    path, out = Path(path), Path(out)
    name = path.stem if name is None else name
    check_images_stay([(path, name)], out)
    tell = on_progress or (lambda words: None)
    model = for_inference(model)
    work = WorkFolder(out, name)
    started = time.perf_counter()
    with work.kept(), open_windows(path, whole=tiling.whole) as original, work.locked():
        plan = _prepared(model, original, work, tiling, cost, tell)
        with _quick(original, work, tell) as image:
            forget_peak(model.device)
            job = TiledJob(model, image, plan, work)
            before = run(job, tell)
            tell("putting the labels together")
            _write(job, original, label_path(out, name))
        peak = peak_memory(model.device)
        work.remove()
    return LargeReport(
        **_about_plan(plan),
        name=name,
        other_colours=original.other_colours,
        finished_before=before,
        peak_memory=peak,
        seconds=time.perf_counter() - started,
    )


def _prepared(
    model: Segmenter,
    image: WindowedImage,
    work: WorkFolder,
    tiling: Tiling,
    cost: Cost | None,
    tell: OnProgress,
) -> TilePlan | OwnContextPlan:
    """Return the plan of the work folder's job, or of a new one when it is another's."""
    model.preprocess(np.zeros((1, 1, image.bands), image.dtype))  # fails where they do not fit
    job: dict[str, Any] = {
        "lookwider": metadata.version("lookwider"),
        "image": image_identity(image.path),
        **network_identity(model),
        "settings": asdict(tiling),
    }
    found = work.job()
    if found is not None:
        differing = [key for key in job if found.get(key) != job[key]]
        if not differing and isinstance(found.get("tile"), int):
            return make_plan(model, image.size, found["tile"], tiling)
        tell(f"begins anew: {work.folder} is of another {' and '.join(differing) or 'tile'}")
    tile = tiling.tile
    if tile is None or tiling.max_memory is not None:
        tell("choosing the size of the tiles")
        cost = cost or measured_cost(model, tiling.each)
        tile = chosen_tile(model, image.size, tiling, cost)
    plan = make_plan(model, image.size, tile, tiling)
    work.begin(job | {"tile": tile})
    return plan


def _quick(original: WindowedImage, work: WorkFolder, tell: OnProgress) -> WindowedImage:
    """Return the image, or a copy of it that is quick to read in parts."""
    if original.random_access:
        return original
    if not work.copy.exists():
        copy_image(original, work.copy, lambda row, rows: tell(f"copying, row {row} of {rows}"))
    return open_windows(work.copy, as_stored=True)


def _write(job: TiledJob, original: WindowedImage, target: Path) -> None:
    """Write the overlay and then the label map: where that is, all is whole."""
    classes = job.model.classes
    whole = job.work.folder / "labels.tif"
    write_labels(whole, job.plan.size, job.labels, classes, original.georeference)
    write_overlay(overlay(*preview(job.image, job.labels), classes), target.with_suffix(""))
    move_written(whole, target)


def _about_plan(plan: TilePlan | OwnContextPlan) -> dict[str, Any]:
    """Return what a report says of a plan."""
    read = sum(tile.window_size[0] * tile.window_size[1] for tile in plan.tiles)
    shared = {
        "size": plan.size,
        "tile": plan.tile,
        "tiles": len(plan.tiles),
        "passes": passes_of(plan),
        "pixels_read": read / (plan.size[0] * plan.size[1]),
    }
    if isinstance(plan, OwnContextPlan):
        own = {"halo": plan.overlap, "halo_needed": None, "exact": False, "share_cut": 1.0}
        return shared | own
    names = ("halo", "halo_needed", "exact", "share_cut")
    return shared | {name: getattr(plan, name) for name in names}
