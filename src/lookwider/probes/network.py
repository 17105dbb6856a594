"""What every instrument needs of a network: its layers by name, and their values and fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lookwider.classes import Classes
from lookwider.errors import ConfigError, LookwiderError, unknown_name
from lookwider.kernels.switches import enabled
from lookwider.layers.modes import evaluating
from lookwider.layers.receptive_fields import TracedLayer, named_tensors, trace_fields
from lookwider.models import Segmenter
from lookwider.models.segmenter import ImageLike, image_array
from lookwider.preprocessing import Preprocessing, default_preprocessing
from lookwider.probes.layer_names import full_name

SCORES = "scores"
"""Name of the last layer: the class scores of a `Segmenter` before they are upsampled, or the
output of any other module, its first tensor where it has several. In a module with a part of that
name it is that part, and the output is called ``output``."""


class Network:
    """A network to probe: a `Segmenter`, or any module from images to a map.

    Args:
        module: takes (N, C, H, W) images.
        preprocessing: what it expects of an image. A `Segmenter` brings its own; other modules
            are given images normalised by the statistics of ImageNet unless told otherwise.
        name: for messages and titles.

    Attributes:
        last: name of the last layer, `SCORES` unless a part of the module is called so.

    Example:
        >>> network = Network(nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Conv2d(4, 2, 3)))
        >>> list(network.fields((32, 32)))
        ['0', '1', '2', 'scores']
        >>> network.fields((32, 32))["scores"].rows.size
        7
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        preprocessing: Preprocessing | None = None,
        name: str = "network",
    ) -> None:
        if isinstance(module, Segmenter) and preprocessing is not None:
            raise ConfigError("a Segmenter brings its own preprocessing; leave preprocessing out")
        self.module = module
        self.name = name
        if isinstance(module, Segmenter):
            self.preprocessing = module.preprocessing
        else:
            self.preprocessing = preprocessing or default_preprocessing(3)
        self._scores = _Scores(module)
        taken = SCORES in dict(module.named_children())
        self.last = "output" if taken else SCORES
        self._fields: dict[tuple[int, int], dict[str, TracedLayer]] = {}
        self._calls: dict[str, int] = {}
        self._compiled: tuple[list[Tensor], Segmenter] | None = None

    @property
    def segmenter(self) -> Segmenter | None:
        """The module when it is a `Segmenter`."""
        return self.module if isinstance(self.module, Segmenter) else None

    def compiled(self) -> Segmenter | None:
        """Return a `Segmenter` with the same features, context and scores, in less time.

        Without Winograd's convolutions, in which a cell's rounding reaches beyond its field. The
        segmenter itself where something follows its layers or asks for gradients.
        """
        model = self.segmenter
        if model is None or model.compiled or not enabled("engine") or torch.is_grad_enabled():
            return model
        if any(part._forward_hooks or part._forward_pre_hooks for part in self._scores.modules()):
            return model
        tensors = [*model.parameters(), *model.buffers()]
        if self._compiled is None or not _are_equal(self._compiled[0], tensors):
            kept = [tensor.detach().clone() for tensor in tensors]
            self._compiled = kept, model.compile_for_inference(winograd=False)
        return self._compiled[1]

    @property
    def classes(self) -> Classes | None:
        """What a `Segmenter` tells apart."""
        return self.segmenter.classes if self.segmenter is not None else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        first = next(self.module.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    def fields(self, size: tuple[int, int]) -> dict[str, TracedLayer]:
        """Return the theoretical fields of all layers whose output is a map, as they are computed.

        Args:
            size: (height, width) of the image.

        Raises:
            LookwiderError: the network cannot take such an image.
        """
        if size not in self._fields:
            with self._naming(size):
                found = self._traced(size)
            self._fields[size] = {
                own: layer for name, layer in found.items() if (own := self._own(name)) is not None
            }
        return self._fields[size]

    def _traced(self, size: tuple[int, int]) -> dict[str, TracedLayer]:
        """Trace without data, or, where the module asks for values, on an image of zeros."""
        bands = self.preprocessing.in_channels
        try:
            return trace_fields(self._scores, bands, size)
        except Exception:  # a foreign module may fail in any way where there are no values
            return trace_fields(self._scores, bands, size, device=self.device)

    def _own(self, traced: str) -> str | None:
        """Return a layer's name in the network itself; None for the network as a whole."""
        if not traced:
            return self.last
        name = traced.removeprefix(f"{_NETWORK}.")
        return None if name == traced else name

    def _within_scores(self, layer: str) -> str:
        return "" if layer == self.last else f"{_NETWORK}.{layer}"

    @property
    def whole(self) -> nn.Module:
        """A module around the network whose output is the scores."""
        return self._scores

    def layer(self, name: str, size: tuple[int, int]) -> str:
        """Return the full name of a layer; the end of it is enough where only one ends so.

        Args:
            name: such as ``backbone.fc7``, ``fc7`` or ``scores``.
            size: (height, width) of the image.

        Raises:
            ConfigError: there is no such layer, or several; the message lists the closest.
        """
        return full_name(name, self.fields(size), self.name)

    def image(self, image: ImageLike) -> Tensor:
        """Return an image as the network takes it.

        Shape:
            (1, C, H, W) float32, on the network's device.
        """
        return self.preprocessing(image_array(image))[None].to(self.device)

    def activations(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the values of layers; what comes after the last of them is not computed.

        A module that is called several times gives its last call's. Gradients are kept where the
        caller has not switched them off.

        Args:
            images: as from `image`.
            layers: full names.

        Shape:
            images (N, C, H, W) -> (N, C_i, h_i, w_i) per layer.

        Raises:
            LookwiderError: the network cannot take such images, or has no such layer.
        """
        size = (int(images.shape[-2]), int(images.shape[-1]))
        fast = self.compiled() if set(layers) == {self.last} == {SCORES} else None
        if fast is not None and fast is not self.module:
            with evaluating(fast), self._naming(size):
                return {SCORES: next(iter(fast.scores(images).values())).scores}
        modules = dict(self._scores.named_modules())
        found: dict[str, Tensor] = {}
        calls = dict.fromkeys(layers, 0)
        handles = []
        for layer in layers:
            module = modules.get(self._within_scores(layer).partition("[")[0])
            if module is None:
                raise ConfigError(unknown_name(f"layer of {self.name}", layer, self.fields(size)))
            handles.append(module.register_forward_hook(self._reader(layer, found, calls)))
        try:
            with evaluating(self._scores), self._naming(size):
                self._scores(images)
            self._calls.update(calls)
        except _AllSeenError:
            pass
        finally:
            for handle in handles:
                handle.remove()
        if missing := [layer for layer in layers if layer not in found]:
            raise ConfigError(unknown_name(f"layer of {self.name}", missing[0], self.fields(size)))
        return found

    def _reader(
        self, layer: str, found: dict[str, Tensor], calls: dict[str, int]
    ) -> Callable[[nn.Module, Any, Any], None]:
        """Return a hook that keeps a layer's output and stops once all layers were seen."""
        wanted = layer[layer.index("[") :] if layer.endswith("]") else ""

        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            tensors = dict(named_tensors(output))
            if wanted in tensors:
                # a ReLU in place would change what is kept
                found[layer] = tensors[wanted].clone()
            calls[layer] += 1
            if all(calls[name] == self._calls.get(name) for name in calls):
                raise _AllSeenError

        return hook

    @contextmanager
    def _naming(self, size: tuple[int, int]) -> Iterator[None]:
        """Say which network did not take images of which size."""
        try:
            yield
        except (_AllSeenError, LookwiderError, torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # a foreign module may fail in any way
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            if "not enough memory" in reason or "allocate memory" in reason:
                raise
            small = any(word in reason.lower() for word in _SIGNS_OF_SIZE)
            raise LookwiderError(
                f"{self.name} cannot take an image of {size[0]}x{size[1]} pixels: {reason}; "
                + ("is it too small? give a larger one" if small else "the network itself fails")
            ) from error


def _are_equal(kept: list[Tensor], now: list[Tensor]) -> bool:
    """Compare values: PyTorch does not count changes through ``.data``."""
    return len(kept) == len(now) and all(
        one.device == other.device and one.dtype == other.dtype and torch.equal(one, other)
        for one, other in zip(kept, now, strict=True)
    )


_SIGNS_OF_SIZE = ("size", "kernel", "padding", "too small")
"""Words of errors that a larger image may cure."""


class _AllSeenError(Exception):
    """Ends a forward pass whose rest is not needed."""


class _Scores(nn.Module):
    """A network whose output is its scores."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores of images."""
        if isinstance(self.network, Segmenter):
            return next(iter(self.network.scores(images).values())).scores
        for _, tensor in named_tensors(self.network(images)):
            return tensor
        raise LookwiderError("the network's output holds no tensor, expected a map of the image")


_NETWORK = "network"
