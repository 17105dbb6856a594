"""Images of a batch through the network: those of one size at once, or else one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lookwider.errors import LookwiderError
from lookwider.inference.bulk.job import BulkJob
from lookwider.inference.bulk.reading import Loaded
from lookwider.inference.bulk.records import reason_of
from lookwider.inference.memory import memory_advice
from lookwider.inference.predictor import predict_image
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter
from lookwider.predictions import Prediction


class DeviceLostError(LookwiderError):
    """An error spoiled the device for this process: only another one can go on."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """What the network made of an image.

    Attributes:
        prediction: or why there is none.
        together: how many images went through at once, this one among them.
    """

    prediction: Prediction | str
    together: int


def segment_together(model: Segmenter, job: BulkJob, loaded: Sequence[Loaded]) -> list[Segmented]:
    """Return what became of each image, in the order of the images.

    Raises:
        DeviceLostError: this process cannot go on.
    """
    groups: dict[object, list[int]] = {}
    for index, one in enumerate(loaded):
        groups.setdefault((one.array.shape, one.array.dtype), []).append(index)
    found: dict[int, Segmented] = {}
    for indices in groups.values():
        members = [loaded[index] for index in indices]
        found.update(zip(indices, _segmented(model, job, members), strict=True))
    return [found[index] for index in range(len(loaded))]


def _segmented(model: Segmenter, job: BulkJob, members: Sequence[Loaded]) -> list[Segmented]:
    """Segment images of one size at once; one by one where that fails, as for want of memory."""
    try:
        with memory_advice(", ".join(one.image.source for one in members)):
            predictions = _segment(model, job, members)
    except Exception as error:  # one image must not take the others with it
        if is_lost(model.device):
            raise DeviceLostError(f"{reason_of(error)}; the device is lost to it") from error
        reason = reason_of(error)
    else:
        return [Segmented(one, len(members)) for one in predictions]
    if len(members) == 1:
        return [Segmented(reason, 1)]
    return [result for one in members for result in _segmented(model, job, [one])]


def is_lost(device: torch.device) -> bool:
    """Return whether a device does nothing any more for this process.

    So it is after an assertion that failed on a GPU, or an illegal memory access.
    """
    if device.type != "cuda":
        return False
    try:
        torch.cuda.synchronize(device)
    except torch.OutOfMemoryError:
        return False
    except RuntimeError:
        return True
    return False


def _segment(model: Segmenter, job: BulkJob, loaded: Sequence[Loaded]) -> list[Prediction]:
    """Segment images of one size; a single one just as `predict_files` does."""
    if len(loaded) > 1:
        return _together(model, job, loaded)
    prediction = predict_image(
        model,
        loaded[0].array,
        job.protocol,
        probabilities=job.probabilities,
        shift_and_stitch=job.shift_and_stitch,
        batch_size=job.batch_size,
    )
    return [dataclasses.replace(prediction, name=loaded[0].image.name)]


def _together(model: Segmenter, job: BulkJob, loaded: Sequence[Loaded]) -> list[Prediction]:
    with evaluating(model), torch.inference_mode():
        images = torch.cat([model.preprocess(one.array) for one in loaded])
        scores = model.dense_scores(images, job.shift_and_stitch)
        labels = scores.labels().cpu().numpy()
        shares = scores.probabilities().cpu().numpy() if job.probabilities else None
    return [
        Prediction(
            labels=labels[index],
            classes=model.classes,
            name=one.image.name,
            image=one.array,
            probabilities=None if shares is None else shares[index],
        )
        for index, one in enumerate(loaded)
    ]
