"""Replace the context in many images, and count what changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from lookwider.classes import Classes
from lookwider.data.sample import Sample, SegmentationDataset
from lookwider.errors import ConfigError, DataError, check_choice
from lookwider.evaluation.evaluate import check_classes
from lookwider.evaluation.metrics import confusion_counts
from lookwider.inference.memory import memory_advice
from lookwider.inference.progress import ImageProgress
from lookwider.layers.modes import evaluating
from lookwider.probes.images import Images, count_images, sample_of
from lookwider.probes.network import Network
from lookwider.probes.swap.moves import Moves, classes_of, compare
from lookwider.probes.swap.reliance_result import KINDS, ContextReliance, Kind, Reliance
from lookwider.probes.swap.replacements import Mean, Zeros, mean_context
from lookwider.probes.swap.slots import Decision, Slot, Values, View, open_slot
from lookwider.probes.swap.swap import as_network


def context_reliance(
    network: Network | nn.Module,
    images: Images,
    *,
    layer: str | None = None,
    replacements: Sequence[Kind] = KINDS,
    limit: int | None = None,
    seed: int = 0,
    console: Console | None = None,
    show: bool = True,
) -> ContextReliance:
    """Replace the context of many images and count what changes.

    Images stream, one at a time, so memory does not grow with their number. For ``"other"`` they
    are put into one random cycle, and each gets the context of the one before it: never its own.

    Args:
        network: with a context, or any module with ``layer``.
        images: a labelled data set, or a list of images.
        layer: the layer whose output is the context, where the halves are not meant.
        replacements: what stands in for each image's context.
        limit: take the first so many images.
        seed: of the cycle.
        console: where progress is shown; standard error when None.
        show: whether it is.

    Raises:
        ConfigError: the network has no context, or a replacement or layer is unknown.
        DataError: there are too few images, or the labels are not of the network's classes.
    """
    network = as_network(network)
    for kind in replacements:
        check_choice("replacement", kind, KINDS)
    if not replacements or len(set(replacements)) < len(replacements):
        raise ConfigError(f"got replacements {list(replacements)}, expected some of {list(KINDS)}")
    if isinstance(images, SegmentationDataset) and network.segmenter is not None:
        check_classes(network.segmenter, images)
    slot = open_slot(network, layer)
    count = count_images(images, limit, least=2 if "other" in replacements else 1)
    mean = None
    if "mean" in replacements:
        mean = mean_context(network, images, layer=layer, limit=limit, console=console, show=show)
    tally = _Tally(network, tuple(replacements), images)
    with (
        evaluating(network.module),
        torch.inference_mode(),
        ImageProgress("context reliance", count, console, show=show) as progress,
    ):
        order = random_cycle(count, seed)
        previous = _view(slot, sample_of(images, order[-1])).values
        for index in order:
            sample = sample_of(images, index)
            view = _view(slot, sample)
            stand_ins = _stand_ins(slot, view, previous, mean, replacements)
            with memory_advice(sample.name):
                tally.add(sample, view, stand_ins)
            previous = view.values
            progress.advance()
    return ContextReliance(
        network.name, slot.name, tally.classes_found(), count, seed, tally.results()
    )


def random_cycle(count: int, seed: int) -> list[int]:
    """Return 0 to ``count`` - 1 in a random order, which read as a cycle moves every one.

    Example:
        >>> sorted(random_cycle(5, seed=0))
        [0, 1, 2, 3, 4]
    """
    return [int(i) for i in np.random.default_rng(seed).permutation(count)]


def _view(slot: Slot, sample: Sample) -> View:
    with memory_advice(sample.name):
        return slot.view(slot.network.image(sample.image))


def _stand_ins(
    slot: Slot, view: View, previous: Values, mean: Mean | None, kinds: Sequence[Kind]
) -> dict[Kind, Values]:
    found: dict[Kind, Values] = {}
    for kind in kinds:
        if kind == "other":
            found[kind] = previous
        elif kind == "mean":
            assert mean is not None
            found[kind] = mean.mean
        else:
            found[kind] = Zeros().values(slot, view)
    return found


class _Tally:
    """Counts so far, by kind of replacement."""

    def __init__(self, network: Network, kinds: tuple[Kind, ...], images: Images) -> None:
        self.network, self.kinds = network, kinds
        self.classes = network.classes
        if self.classes is None and isinstance(images, SegmentationDataset):
            self.classes = images.classes
        self.moves: dict[Kind, Moves] = {}
        self.before: Tensor | None = None
        self.after: dict[Kind, Tensor] = {}
        self.unlabelled = False

    def add(self, sample: Sample, view: View, stand_ins: Mapping[Kind, Values]) -> None:
        before = view.decide()
        if self.classes is None:
            self.classes = classes_of(self.network, before)
        truth = self._truth(sample, before)
        if truth is None:
            self.unlabelled = True
        else:
            self.before = self._counted(self.before, truth, before)
        for kind, values in stand_ins.items():
            after = view.decide(values)
            moves, _ = compare(before, after, self.classes)
            self.moves[kind] = self.moves.get(kind, Moves.none(self.classes)) + moves
            if truth is not None:
                self.after[kind] = self._counted(self.after.get(kind), truth, after)

    def _truth(self, sample: Sample, before: Decision) -> Tensor | None:
        if sample.label is None:
            return None
        size = sample.image.shape[:2]
        if sample.label.shape != size:
            raise DataError(
                f"{sample.name}: got labels of {sample.label.shape}, expected the image's size, "
                f"{tuple(size)}"
            )
        if sample.label.shape != before.labels.shape:
            return None  # the output is coarser than the image: nothing to compare it with
        return torch.from_numpy(np.array(sample.label)).to(before.labels.device)

    def _counted(self, counts: Tensor | None, truth: Tensor, decision: Decision) -> Tensor:
        assert self.classes is not None
        found = confusion_counts(truth, decision.labels, len(self.classes)).cpu()
        return found if counts is None else counts + found

    def classes_found(self) -> Classes:
        assert self.classes is not None
        return self.classes

    def results(self) -> dict[Kind, Reliance]:
        before = None if self.unlabelled else self.before
        after: Mapping[Kind, Tensor] = {} if self.unlabelled else self.after
        return {
            kind: Reliance(kind, self.moves[kind], before, after.get(kind)) for kind in self.kinds
        }
