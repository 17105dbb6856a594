"""What a bulk job does to every image, and the images it hands out together."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lookwider.errors import ConfigError
from lookwider.inference.bulk.places import job_folder
from lookwider.inference.compiled import for_inference, named_dtype
from lookwider.inference.device import choose_device
from lookwider.inference.multiscale import check_protocol
from lookwider.inference.protocol import WHOLE, InferenceProtocol
from lookwider.models import Segmenter
from lookwider.weights.checkpoint import checkpoint_folder, load
from lookwider.weights.description import describe


@dataclass(frozen=True)
class BulkImage:
    """An image of a job.

    Attributes:
        name: what its results are called, "/" between folders; no other image of the job has it.
        source: the path of the file, or an address such as ``s3://bucket/a.jpg``.
        bytes: size of the file, where a bucket's list says it.
        modified: when it was changed last, in nanoseconds since 1970, where a bucket's list says
            it.
    """

    name: str
    source: str
    bytes: int | None = None
    modified: int | None = None


class Task(Protocol):
    """What a worker is given at a time."""

    @property
    def number(self) -> int:
        """Of the task within its job."""

    @property
    def size(self) -> int:
        """How many images, or tiles of one."""

    def to_json(self) -> list[Any]:
        """Return it as JSON holds it."""


class Job(Protocol):
    """What all workers do."""

    @property
    def device(self) -> str:
        """Where: auto, cpu, cuda or cuda:N."""

    @property
    def folder(self) -> Path:
        """What is there only while the job is not finished."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""


@dataclass(frozen=True)
class Batch:
    """Images that are handed out together; those of one size go through the network at once.

    Attributes:
        number: of the batch within its job.
        images: at least one.
    """

    number: int
    images: tuple[BulkImage, ...]

    @property
    def size(self) -> int:
        """How many images."""
        return len(self.images)

    def to_json(self) -> list[Any]:
        """Return it as JSON holds it."""
        return [self.number, [dataclasses.astuple(image) for image in self.images]]

    @classmethod
    def from_json(cls, values: list[Any]) -> Batch:
        """Return the batch that `to_json` describes.

        Example:
            >>> batch = Batch(3, (BulkImage("a", "in/a.jpg"),))
            >>> Batch.from_json(batch.to_json()) == batch
            True
        """
        return cls(values[0], tuple(BulkImage(*image) for image in values[1]))


def batches_of(images: Iterable[BulkImage], size: int) -> Iterator[Batch]:
    """Cut the images into batches of ``size``, in their order.

    Which images go together depends on the whole list alone, not on what is done already: so a
    job that was interrupted rounds as one that was not.
    """
    source = iter(images)
    for number in itertools.count():
        together = tuple(itertools.islice(source, size))
        if not together:
            return
        yield Batch(number, together)


@dataclass(frozen=True)
class BulkJob:
    """What is done to every image.

    Attributes:
        run: a run folder or a checkpoint; every worker loads it.
        out: folder of the results, which every worker can write to; see `Prediction.save`.
        protocol: how an image goes through the network.
        probabilities: also write them.
        shift_and_stitch: as in `Segmenter.predict`.
        batch_size: images of one size that go through at once; with a protocol that is not the
            plain one, windows of an image.
        device: auto, cpu, cuda or cuda:N.
        dtype: float32, bfloat16 or auto.
        readers: threads of a worker that read ahead.

    Raises:
        ConfigError: ``batch_size`` or ``readers`` is below 1, or the folder is an address.
    """

    run: Path
    out: Path
    protocol: InferenceProtocol = WHOLE
    probabilities: bool = False
    shift_and_stitch: int = 1
    batch_size: int = 1
    device: str = "auto"
    dtype: str = "float32"
    readers: int = 1

    def __post_init__(self) -> None:
        for name in ("batch_size", "readers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"got {name}={getattr(self, name)}, expected at least 1")
        if ":/" in str(self.out):
            raise ConfigError(
                f"got the results' folder {self.out}, expected one that every worker can write "
                "to; mount the bucket, or copy the results there afterwards"
            )

    @property
    def folder(self) -> Path:
        """What is there only while the job is not finished."""
        return job_folder(self.out)

    def identity(self) -> dict[str, Any]:
        """Return what the results depend on, but for the images and the machine.

        Raises:
            CheckpointError: there is no checkpoint, or its description is damaged.
        """
        settings = self.to_json()
        for elsewhere in ("run", "out", "device", "readers"):
            del settings[elsewhere]
        description = describe(checkpoint_folder(self.run))
        return {"model": description.sha256, **settings}

    def load(self) -> Segmenter:
        """Return the model, compiled for inference, where it computes.

        Raises:
            CheckpointError: there is no checkpoint, or it is damaged.
            ConfigError: the protocol or the device does not fit.
        """
        model = for_inference(
            load(self.run, device=choose_device(self.device)), named_dtype(self.dtype)
        )
        check_protocol(model, self.protocol, self.shift_and_stitch)
        model.check_shift_and_stitch(self.shift_and_stitch)
        return model

    def batches(self, images: Iterable[BulkImage]) -> Iterator[Batch]:
        """Cut the images into batches; one by one unless the protocol is the plain one."""
        return batches_of(images, self.batch_size if self.protocol.is_plain else 1)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            **values,
            "run": str(self.run),
            "out": str(self.out),
            "protocol": self.protocol.to_json(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BulkJob:
        """Return the job that `to_json` describes."""
        protocol: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values["protocol"].items()
        }
        given = {"run": Path(values["run"]), "out": Path(values["out"])}
        return cls(**{**values, **given, "protocol": InferenceProtocol(**protocol)})
