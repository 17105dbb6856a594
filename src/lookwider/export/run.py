"""Export a model: trace, write beside the target, compare, and only then put it there."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lookwider.data.sample import SegmentationDataset
from lookwider.errors import ConfigError, LookwiderError
from lookwider.evaluation.evaluate import check_classes
from lookwider.export.artefact import Artefact
from lookwider.export.certificate import TOLERANCES, Certificate, certificate_path
from lookwider.export.formats import (
    DType,
    Format,
    Options,
    check_options,
    describe_network,
    named_file,
)
from lookwider.export.network import ExportableNetwork
from lookwider.export.parity import (
    SIZES,
    Array,
    Tell,
    compare,
    crops,
    measured_loss,
    own_least_side,
    random_images,
)
from lookwider.export.torch_files import torch_program, torch_script
from lookwider.export.tracing import exportable
from lookwider.inference.predictor import find_images
from lookwider.models import Segmenter
from lookwider.models.segmenter import image_array
from lookwider.weights.safe_files import sha256

MOST_CALIBRATION = 64
"""Images that int8 is calibrated on, evenly spread over a folder."""

LEAST_INT8 = 16
"""Least height and width that int8 is compared at."""

LIBRARIES = ("lookwider", "torch", "onnx", "onnxscript", "onnxruntime", "openvino")


def _silent(step: str) -> None:
    """Tell nobody."""


def export(
    model: Segmenter,
    path: str | Path,
    *,
    format: Format = "onnx",
    dynamic: bool = True,
    size: tuple[int, int] | None = None,
    labels: bool = False,
    preprocess: bool = False,
    dtype: DType = "float32",
    calibration: str | Path | None = None,
    evaluate: SegmentationDataset | None = None,
    force: bool = False,
    tell: Tell = _silent,
) -> Certificate:
    """Write a model as a file that another runtime runs, if it computes the same there.

    The file is written beside its place, read back by its runtime, compared with PyTorch at ten
    sizes, and moved to its place with a certificate beside it. If it differs, nothing is left.

    Args:
        model: of this package; its main head is exported.
        path: of the file; the format's suffix is added where there is none.
        format: onnx, torch, torchscript or openvino.
        dynamic: take every batch, height and width.
        size: (height, width) of the images that a file takes which is not dynamic.
        labels: give the label of every pixel, uint8, instead of logits.
        preprocess: take raw RGB images, uint8, and normalise them in the file.
        dtype: float32; bfloat16; or int8, which needs ``calibration``.
        calibration: a folder of images like those that the file will see.
        evaluate: labelled images to measure the loss of mean IoU on.
        force: replace a file that is there.
        tell: is told each step.

    Raises:
        ConfigError: the options do not go together, or the file exists.
        LookwiderError: the network cannot be traced, or computes something else when exported.
        MissingExtraError: a library that the format needs is not installed.

    Returns:
        The certificate, which also lies beside the file as ``NAME.certificate.json``.
    """
    if size is not None and dynamic:
        raise ConfigError(f"got size {size} of a dynamic export; use dynamic=False, or no size")
    if size is None and not dynamic:
        raise ConfigError("a file that is not dynamic needs a size, e.g. size=(480, 640)")
    sizes = {} if size is None else {"size": size}
    options = Options(format, dynamic, labels=labels, preprocess=preprocess, dtype=dtype, **sizes)
    check_options(options, model)
    if (dtype == "int8") != (calibration is not None):
        raise ConfigError(
            f"got dtype {dtype} and calibration {calibration}: int8, and only int8, needs a "
            "folder of images to calibrate on"
        )
    if evaluate is not None:
        check_classes(model, evaluate)
    target = named_file(path, format)
    places = [target, certificate_path(target), *_companions(target, format)]
    if not force and (there := [place for place in places if place.exists()]):
        raise ConfigError(f"{there[0]} exists; use another name, or force (--force) to replace it")
    with _staging(target) as folder:
        raw = () if calibration is None else _calibration_images(model, calibration)
        tell("tracing the network")
        artefact = _artefact(exportable(model, options), options, _as_taken(model, raw, options))
        certificate = _certified(
            model, artefact, options, folder / target.name, raw, evaluate, tell
        )
        for place in places:
            _put(folder / place.name, place)
    return certificate


def _certified(
    model: Segmenter,
    artefact: Artefact,
    options: Options,
    path: Path,
    raw: Sequence[Array],
    evaluate: SegmentationDataset | None,
    tell: Tell,
) -> Certificate:
    """Write a file and its certificate, after comparing what is read back.

    Raises:
        ParityError: it computes something else.
    """
    about = describe_network(model, options)
    tell("writing")
    artefact.write(path, about)
    run = artefact.read(path)
    own_least = own_least_side(model) if options.dynamic else 1
    tolerance = TOLERANCES[options.dtype]
    sizes = _sizes(options, max(own_least, artefact.least_side))
    images = crops(raw, sizes) if raw else random_images(sizes, model.preprocessing.in_channels)
    comparisons = []
    for number, found in enumerate(compare(model, run, options, images, tolerance.relative), 1):
        comparisons.append(found)
        tell(f"compared {number} of {len(sizes)} sizes with {artefact.judge}")
    extra = ", ".join(model.extra_classes)
    certificate = Certificate(
        options,
        artefact.judge,
        tuple(comparisons),
        tolerance,
        about["lookwider.weights_sha256"],
        versions(),
        None if evaluate is None else measured_loss(model, run, options, evaluate, tell),
        (
            *artefact.notes,
            *([f"the network takes sides of {own_least} pixels and more"] if own_least > 1 else []),
            *([f"the main head alone, without {extra}"] if extra else []),
        ),
    )
    if certificate.problem is not None:
        raise ParityError(certificate)
    tell("writing with its certificate")
    artefact.write(path, about | {"lookwider.certificate": json.dumps(certificate.to_json())})
    files = {file.name: sha256(file) for file in sorted(path.parent.iterdir())}
    certificate = dataclasses.replace(certificate, files=files)
    text = json.dumps(certificate.to_json(), indent=1)
    certificate_path(path).write_text(text + "\n", encoding="utf-8")
    return certificate


class ParityError(LookwiderError):
    """An exported network computes something else than PyTorch.

    Attributes:
        certificate: what was compared.
    """

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        fix = (
            "another version of the runtime or another format may do better"
            if certificate.options.dtype == "float32"
            else "export float32, or calibrate int8 on more images like those it will see"
        )
        super().__init__(
            f"nothing was written: {certificate.judge} computes something else than PyTorch: "
            f"{certificate.problem}; {fix}"
        )


def _artefact(
    network: ExportableNetwork, options: Options, calibration: Sequence[Array]
) -> Artefact:
    """Return the network in its format, whose library is imported only here."""
    if options.format == "torch":
        return torch_program(network, options)
    if options.format == "torchscript":
        return torch_script(network, options)
    if options.format == "onnx":
        from lookwider.export.onnx_file import onnx_file

        return onnx_file(network, options, calibration)
    from lookwider.export.openvino_file import openvino_file

    return openvino_file(network, options, calibration)


def _sizes(options: Options, least: int) -> list[tuple[int, int, int]]:
    """Return the batches, heights and widths to try."""
    if not options.dynamic:
        return [(1, *options.size)] * 3
    if options.dtype == "int8":  # its ranges are those of photographs, not of a few pixels
        least = max(least, LEAST_INT8)
    return [size for size in SIZES if min(size[1:]) >= least]


def _calibration_images(model: Segmenter, folder: str | Path) -> tuple[Array, ...]:
    """Return raw images (1, C, H, W), at most `MOST_CALIBRATION`, evenly spread over a folder.

    Raises:
        DataError: there is none.
    """
    files = find_images([folder])
    chosen = files[:: -(-len(files) // MOST_CALIBRATION)]
    return tuple(
        np.ascontiguousarray(image_array(file.path).transpose(2, 0, 1)[None]) for file in chosen
    )


def _as_taken(model: Segmenter, raw: Sequence[Array], options: Options) -> list[Array]:
    """Return raw images as the file takes them."""
    if options.preprocess:
        return list(raw)
    return [model.preprocess(image[0].transpose(1, 2, 0)).cpu().numpy() for image in raw]


def versions() -> dict[str, str]:
    """Return the versions of the libraries that make and judge a file, of those installed."""
    found = {}
    for library in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[library] = importlib.metadata.version(library)
    return found


def _companions(target: Path, file_format: Format) -> list[Path]:
    """Return the files that a format writes beside the one that is named."""
    return [target.with_suffix(".bin")] if file_format == "openvino" else []


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Yield a folder beside the target that is gone afterwards, whatever happens."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:64]}.", dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _put(staged: Path, place: Path) -> None:
    """Move a file to its place, at once and whole."""
    with staged.open("rb") as file:
        os.fsync(file.fileno())
    staged.chmod(0o644)
    staged.replace(place)
