"""Images of a batch through the network: those of one size at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from lookwider.inference.bulk.job import BulkJob
from lookwider.inference.bulk.reading import Loaded
from lookwider.inference.bulk.records import reason_of
from lookwider.inference.memory import memory_advice
from lookwider.inference.predictor import predict_image
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter
from lookwider.predictions import Prediction


def segment_together(
    model: Segmenter, job: BulkJob, loaded: Sequence[Loaded]
) -> list[Prediction | str]:
    """Return each image's prediction, or why there is none; in the order of the images."""
    groups: dict[object, list[int]] = {}
    for index, one in enumerate(loaded):
        groups.setdefault((one.array.shape, one.array.dtype), []).append(index)
    found: dict[int, Prediction | str] = {}
    for indices in groups.values():
        members = [loaded[index] for index in indices]
        try:
            with memory_advice(", ".join(one.image.source for one in members)):
                results: Sequence[Prediction | str] = _segment(model, job, members)
        except Exception as error:  # one image must not take the others with it
            results = [reason_of(error)] * len(members)
        found.update(zip(indices, results, strict=True))
    return [found[index] for index in range(len(loaded))]


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
