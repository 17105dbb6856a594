"""Measure a network: its stages and the whole, in both forms that take turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from lookwider.bench.forms import Form, FormName, inference_forms, training_forms, training_step
from lookwider.bench.machine import Rates, count_flop, measure_rates
from lookwider.bench.memory import extra_memory, keeping_freed_memory
from lookwider.bench.result import BenchResult, Comparison
from lookwider.bench.stages import STAGES, WHOLE, Work, prepare, write_picture
from lookwider.bench.timing import interleaved
from lookwider.errors import ConfigError
from lookwider.inference.memory import memory_advice
from lookwider.kernels.switches import without
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter

TRAINING_BATCH = 2
"""Images of a training step at least."""

Tell = Callable[[str], None]
Runs = dict[FormName, Callable[[], object]]


def bench(
    model: Segmenter,
    *,
    size: tuple[int, int] = (96, 128),
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
    rounds: int = 10,
    threads: int | None = None,
    training: bool = False,
    tell: Tell = lambda text: None,
) -> BenchResult:
    """Measure a network from an image file to labels, against its plain form.

    Both forms run in turns, stage by stage, so that a machine that is busy for a while is so for
    both; every number is the median of the rounds.

    Args:
        model: on the device to compute on; it stays as it is.
        size: (height, width) of the images.
        batch: images at once.
        dtype: of the products, float32 or bfloat16.
        rounds: that are counted, after one that is not.
        threads: of PyTorch; as they are when None.
        training: also measure the loss with its gradients, of at least two images: batch
            normalisation cannot train on one.
        tell: called with a few words now and then.

    Raises:
        ConfigError: a number is not positive, the dtype is another, or the model cannot be compared
            in this way.
        LookwiderError: the memory is not enough.
    """
    for name, number in {
        "batch": batch,
        "rounds": rounds,
        "threads": 1 if threads is None else threads,
    }.items():
        if number < 1:
            raise ConfigError(f"got {name}={number}, expected at least 1")
    _check(model, dtype)
    height, width = size
    with (
        using_threads(threads),
        keeping_freed_memory(),
        memory_advice(f"a batch of {batch} x {height} x {width}"),
        tempfile.TemporaryDirectory() as folder,
    ):
        picture = write_picture(Path(folder), size, model.preprocessing.in_channels)
        tell("measuring the machine: a matrix product and a copy")
        rates = measure_rates(dtype, model.device)
        tell("preparing both forms of the network")
        forms = inference_forms(model, dtype)
        works = {name: prepare(form, picture, batch) for name, form in forms.items()}
        with evaluating(model):
            flop = least_flop(model, works["plain"].images)
        comparisons = [
            *_measure_stages(works, rates, flop, rounds, tell),
            *(_measure_training(model, works, dtype, rounds, tell) if training else ()),
        ]
    fast, plain = (works[name] for name in ("lookwider", "plain"))
    largest = plain.scores.scores.float().abs().max().item()
    gap = (fast.scores.scores.float() - plain.scores.scores.float()).abs().max().item()
    return BenchResult(
        network=_name(model),
        size=size,
        num_classes=model.num_classes,
        batch=batch,
        training_batch=max(batch, TRAINING_BATCH) if training else None,
        dtype=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads() if threads is None else threads,
        rates=rates,
        comparisons=tuple(comparisons),
        difference=gap / largest if largest else gap,
        agreement=(fast.labels == plain.labels).double().mean().item(),
    )


def _check(model: Segmenter, dtype: torch.dtype) -> None:
    """Raise a `ConfigError` where the two forms cannot be made of a model."""
    if dtype not in (torch.float32, torch.bfloat16):
        raise ConfigError(f"got dtype={dtype}, expected torch.float32 or torch.bfloat16")
    if model.compiled is not None:
        raise ConfigError(
            "got a model compiled for inference, whose plain form is gone; give the model that it "
            "was compiled from"
        )
    weights = {parameter.dtype for parameter in model.parameters()}
    if weights != {torch.float32}:
        names = ", ".join(sorted(map(str, weights)))
        raise ConfigError(
            f"got weights of {names}, expected torch.float32: use model.float(), and dtype={dtype} "
            "for what to compute in"
        )


def _name(model: Segmenter) -> str:
    """Return what the network is, in words; of one put together by hand its trunk's class."""
    known = [model.architecture.get(key) for key in ("name", "backbone")]
    return (
        " on ".join(str(word) for word in known if word is not None)
        or f"network on {type(model.backbone).__name__}"
    )


def least_flop(model: Segmenter, images: torch.Tensor) -> dict[str, int]:
    """Return the operations of trunk and head: those without concatenation, where it is less.

    PyTorch knows no formula for the engine's own operators, so they are counted without it.
    """
    size = (int(images.shape[-2]), int(images.shape[-1]))
    one = images[:1].to(torch.float32)
    with without("engine", "winograd", "mkldnn"), torch.no_grad():
        trunk = count_flop(lambda: model.features(one))
        features = model.features(one)
        summary = model.context.summarise(features)
        head = count_flop(lambda: model.classify(features, summary, size))
        with without("heads"):
            plain_head = count_flop(lambda: model.classify(features, summary, size))
    return {"trunk": len(images) * trunk, "head": len(images) * min(head, plain_head)}


def _measure_stages(
    works: dict[FormName, Work], rates: Rates, flop: dict[str, int], rounds: int, tell: Tell
) -> Iterator[Comparison]:
    names = (WHOLE, *STAGES)
    fast, plain = works["lookwider"], works["plain"]
    runs = {
        f"{name} {form}": work.runs[name]
        for name in names
        for form, work in (("plain", plain), ("lookwider", fast))
    }
    timings = interleaved(runs, rounds, on_round=_teller("image to labels", rounds, tell))
    memory = _memory({form: work.runs[WHOLE] for form, work in works.items()})
    floors = {
        stage: rates.floor(flop.get(stage, 0), plain.touched[stage])
        for stage in STAGES
        if stage in plain.touched
    }
    for name in names:
        yield Comparison(
            work=name,
            fast=timings[f"{name} lookwider"],
            plain=timings[f"{name} plain"],
            floor=sum(floors.values()) if name == WHOLE else floors.get(name),
            flop=sum(flop.values()) if name == WHOLE else flop.get(name, 0),
            memory_mib=memory if name == WHOLE else None,
        )


def _measure_training(
    model: Segmenter, works: dict[FormName, Work], dtype: torch.dtype, rounds: int, tell: Tell
) -> Iterator[Comparison]:
    """Yield the whole step without the optimiser, and the loss alone, both with gradients."""
    tell("preparing both forms of the training step")
    picture = works["plain"].images.to(torch.float32)
    images = picture.repeat(2, 1, 1, 1) if len(picture) < TRAINING_BATCH else picture
    generator = torch.Generator().manual_seed(0)
    shape = (images.shape[0], *images.shape[-2:])
    labels = torch.randint(model.num_classes, shape, generator=generator).to(images.device)
    forms = training_forms(model, dtype)
    steps: Runs = {name: training_step(form, images, labels) for name, form in forms.items()}
    losses: Runs = {name: loss_step(form, images, labels) for name, form in forms.items()}
    for work, runs in {"loss": losses, "training step": steps}.items():
        turns = {str(name): run for name, run in runs.items()}
        timings = interleaved(turns, rounds, on_round=_teller(work, rounds, tell))
        yield Comparison(work, timings["lookwider"], timings["plain"], memory_mib=_memory(runs))


def loss_step(form: Form, images: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    """Return what computes the main head's loss from its coarse scores, and their gradient."""
    with form.paths(), torch.no_grad():
        coarse = form.main_scores(images)

    def step() -> object:
        scores = coarse.scores.detach().requires_grad_()
        with form.paths():
            loss = form.loss(type(coarse)(scores, coarse.rows, coarse.cols), labels)
            torch.autograd.backward(loss)
        return scores.grad

    return step


def _memory(runs: Runs) -> tuple[float, float] | None:
    fast, plain = extra_memory(runs["lookwider"]), extra_memory(runs["plain"])
    return None if fast is None or plain is None else (fast, plain)


def _teller(what: str, rounds: int, tell: Tell) -> Callable[[int, float], None]:
    def told(done: int, seconds: float) -> None:
        left = (rounds - done) * seconds
        tell(f"measuring {what}: {done} of {rounds} rounds, about {left:.0f} s left")

    return told


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Let PyTorch compute with so many threads for a while; with as many as before when None."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
