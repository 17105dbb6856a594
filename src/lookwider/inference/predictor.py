"""Segment files: find the images, predict each, write the results, report what failed."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lookwider.errors import DataError, LookwiderError, MissingExtraError
from lookwider.images import IMAGE_SUFFIXES, read_image
from lookwider.inference.compiled import for_inference
from lookwider.inference.large import LargeReport, Tiler, Tiling, check_tiled, is_finished
from lookwider.inference.memory import memory_advice
from lookwider.inference.multiscale import (
    OnWindow,
    check_protocol,
    class_probabilities,
    labels_of,
)
from lookwider.inference.overwriting import check_images_stay
from lookwider.inference.prefetch import prefetch
from lookwider.inference.progress import ImageProgress
from lookwider.inference.protocol import WHOLE, InferenceProtocol
from lookwider.models import Segmenter
from lookwider.models.segmenter import ImageLike, image_array
from lookwider.predictions import Prediction


@dataclass(frozen=True)
class ImageFile:
    """An image to segment.

    Attributes:
        path: the file.
        name: what its results are called, "/" between folders.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Failure:
    """An image that could not be segmented, and why."""

    path: Path | str
    reason: str


@dataclass
class PredictionReport:
    """What became of the images; grows while they are segmented.

    Attributes:
        images: how many there were.
        written: names of those whose results were written.
        skipped: names of those whose results were there already.
        failed: those that could not be read or segmented.
        tiled: how those were segmented that went in tiles.
        manifest: of a job of several workers, once it has ended.
    """

    images: int
    written: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)
    failed: list[Failure] = dataclasses.field(default_factory=list)
    tiled: list[LargeReport] = dataclasses.field(default_factory=list)
    manifest: Path | None = None


def find_images(
    inputs: Sequence[str | Path], *, exclude: str | Path | None = None
) -> list[ImageFile]:
    """Return the images that files and folders mean, each with a name of its own.

    A folder gives every image in it and in its sub-folders, which its name keeps. Names go
    without extension, unless two images would then be called the same.

    Args:
        inputs: files and folders; hidden files within a folder are left out.
        exclude: a folder not to look into, such as the one that results go to.

    Raises:
        DataError: an input does not exist, or there is no image at all.
    """
    found: dict[Path, Path] = {}
    for given in map(Path, inputs):
        if given.is_dir():
            found.update({path: path.relative_to(given) for path in _images_in(given, exclude)})
        elif given.exists():
            found[given] = Path(given.name)
        else:
            raise DataError(f"{given}: no such file or folder")
    if not found:
        given_names = ", ".join(str(path) for path in inputs) or "nothing"
        raise DataError(
            f"found no image in {given_names}; expected files that end in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return _named(found)


def predict_image(
    model: Segmenter,
    image: ImageLike,
    protocol: InferenceProtocol = WHOLE,
    *,
    probabilities: bool = False,
    shift_and_stitch: int = 1,
    batch_size: int = 1,
    on_window: OnWindow | None = None,
) -> Prediction:
    """Segment one image by a protocol; the plain one is `Segmenter.predict`.

    Args:
        model: on the device to compute on.
        image: a path, a PIL image, or an (H, W, C) array in RGB order.
        protocol: what is done to the image.
        probabilities: also return the probability of every class at every pixel.
        shift_and_stitch: as in `Segmenter.predict`; 1 unless the protocol is the plain one.
        batch_size: so many windows go through at once.
        on_window: told how many windows are done, and how many there are.

    Raises:
        ConfigError: the protocol does not fit the model or shift-and-stitch.
        LookwiderError: the image cannot be read or has other bands than the model.
    """
    check_protocol(model, protocol, shift_and_stitch)
    if protocol.is_plain:
        return model.predict(image, probabilities=probabilities, shift_and_stitch=shift_and_stitch)
    array = image_array(image)
    found = class_probabilities(model, array, protocol, batch_size=batch_size, on_window=on_window)
    main = next(iter(found.values()))
    return Prediction(
        labels=labels_of(main).cpu().numpy(),
        classes=model.classes,
        name=Path(image).stem if isinstance(image, (str, os.PathLike)) else "image",
        image=array,
        probabilities=main.cpu().numpy() if probabilities else None,
    )


def predict_files(
    model: Segmenter,
    images: Sequence[ImageFile],
    out: str | Path,
    *,
    protocol: InferenceProtocol = WHOLE,
    probabilities: bool = False,
    shift_and_stitch: int = 1,
    batch_size: int = 1,
    skip_existing: bool = False,
    readers: int = 2,
    tiling: Tiling | None = None,
    console: Console | None = None,
    show: bool = True,
    report: PredictionReport | None = None,
) -> PredictionReport:
    """Segment images and write each one's label map, overlay and, on request, probabilities.

    A file that cannot be read or segmented is reported and does not stop the others. Files are
    written atomically, so an interrupted run leaves whole ones.

    Args:
        model: on the device to compute on; compiled for inference first, where it is not.
        images: from `find_images`.
        out: folder of the results; see `Prediction.save`.
        protocol: what is done to each image.
        probabilities: also write them.
        shift_and_stitch: how many times denser than the network's own the scores are; see
            `Segmenter.dense_scores`.
        batch_size: so many windows of an image go through at once.
        skip_existing: leave out images whose label map is there already, and no unfinished tiles.
        readers: threads that read ahead.
        tiling: which images go in tiles, and how; none when None. See `predict_large`.
        console: where progress is shown.
        show: whether it is.
        report: filled while it goes on, to be read after an interruption; a new one when None.

    Raises:
        ConfigError: the protocol does not fit the model, shift-and-stitch or tiles; or a result
            would replace an image.
        LookwiderError: results cannot be written.
    """
    check_protocol(model, protocol, shift_and_stitch)
    if tiling is not None:
        check_tiled(plain=protocol.is_plain and shift_and_stitch == 1, probabilities=probabilities)
    check_images_stay(((file.path, file.name) for file in images), out)
    report = PredictionReport(len(images)) if report is None else report
    waiting = []
    for file in images:
        if skip_existing and is_finished(out, file.name):
            report.skipped.append(file.name)
        else:
            waiting.append(file)
    if waiting:
        model = for_inference(model)
    tiler = None if tiling is None else Tiler(model, out, tiling)
    large = [f for f in waiting if tiler is not None and tiler.needs_tiles(f.path, f.name)]
    in_tiles = {file.name for file in large}
    whole = [file for file in waiting if file.name not in in_tiles]
    with ImageProgress("predicting", len(waiting), console, show=show) as progress:
        for file, image in prefetch(lambda f: read_image(f.path), whole, readers):
            try:
                with memory_advice(str(file.path)):
                    prediction = predict_image(
                        model,
                        image.result(),
                        protocol,
                        probabilities=probabilities,
                        shift_and_stitch=shift_and_stitch,
                        batch_size=batch_size,
                        on_window=progress.windows_of(file.name),
                    )
                    prediction = dataclasses.replace(prediction, name=file.name)
            except (LookwiderError, MissingExtraError) as error:
                report.failed.append(Failure(file.path, str(error)))
            else:
                _write(prediction, out, file, report)
            progress.advance(note=file.name)
        if tiler is not None:
            predict_in_tiles(tiler, large, report, progress)
    return report


def _write(
    prediction: Prediction, out: str | Path, file: ImageFile, report: PredictionReport
) -> None:
    """Write one image's results; what hinders all images stops, what hinders one is reported."""
    try:
        prediction.save(out)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise LookwiderError(f"cannot write the results: {error}") from error
        report.failed.append(Failure(file.path, "its name is too long for its results' names"))
    else:
        report.written.append(file.name)


def predict_in_tiles(
    tiler: Tiler, images: Sequence[ImageFile], report: PredictionReport, progress: ImageProgress
) -> None:
    """Segment large images one after the other; one that cannot be does not stop the others."""
    for file in images:
        try:
            with memory_advice(str(file.path)):
                report.tiled.append(tiler.segment(file.path, file.name, progress.within))
        except (LookwiderError, MissingExtraError) as error:
            report.failed.append(Failure(file.path, str(error)))
        else:
            report.written.append(file.name)
        progress.advance(note=file.name)


def _images_in(folder: Path, exclude: str | Path | None) -> Iterator[Path]:
    hidden = Path(exclude).resolve() if exclude is not None else None
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and (here / f).resolve() != hidden
        )
        for name in sorted(files):
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                yield here / name


def _named(found: dict[Path, Path]) -> list[ImageFile]:
    """Give every file a name: relative and without extension, longer where that is not unique."""
    if any(count > 1 for count in Counter(found.values()).values()):
        common = Path(os.path.commonpath([path.resolve().parent for path in found]))
        found = {path: path.resolve().relative_to(common) for path in found}
    stems = Counter(short.with_suffix("") for short in found.values())
    return [
        ImageFile(path, (s if stems[s.with_suffix("")] > 1 else s.with_suffix("")).as_posix())
        for path, s in found.items()
    ]
