"""From a release's parameters to a model of ours: every one by name, every shape checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lookwider.errors import CheckpointError
from lookwider.layers.taps import bilinear_filter
from lookwider.models import Segmenter, create_model
from lookwider.weights.convert.nets import Net
from lookwider.weights.description import listed

MOST_LISTED = 60
"""Names of one kind that an error lists; a file of a known layout never lacks more."""

COUNTER = ".num_batches_tracked"
"""PyTorch's batch normalisation counts batches; older files and Caffe do not."""


def build_model(net: Net, given: Mapping[str, Tensor]) -> Segmenter:
    """Return a network of ours that holds a release's parameters, in evaluation mode.

    Args:
        net: what the parameters are; see `recognise`.
        given: the parameters by the release's names.

    Raises:
        CheckpointError: parameters are missing, left over, of another shape, or fixed ones are
            not what they should be; the message lists them all.
    """
    layout = net.layout
    architecture: dict[str, Any] = dict(layout.architecture)
    if layout.aux:
        architecture["aux"] = layout.aux in given
    if layout.filters:
        architecture["upsampling"] = "learned"  # a place for every filter, until they are seen
    model = _create(net, architecture, "meta")
    state = map_parameters(net, given, model.state_dict())
    if layout.filters:
        architecture["upsampling"] = stored_upsampling(state)
        model = _create(net, architecture, "meta")
    if net.is_trunk:  # what a classifier does not hold begins as in a new network
        model = _create(net, architecture, "cpu")
    fresh = model.state_dict()
    model.load_state_dict(
        {name: state.get(name, fresh[name]) for name in fresh}, strict=True, assign=True
    )
    model.backbone.preprocessing = net.preprocessing
    return model.eval()


def map_parameters(
    net: Net, given: Mapping[str, Tensor], ours: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return a release's parameters under our names and in our shapes.

    Args:
        net: what the parameters are.
        given: the parameters by the release's names.
        ours: what a model of ours holds; only types and shapes are used.

    Raises:
        CheckpointError: as `build_model`.
    """
    state: dict[str, Tensor] = {}
    used, missing, misfits = set(net.layout.constants), [], []
    for name, place in ours.items():
        key = net.layout.names(name)
        if name.endswith(COUNTER) and key not in given:
            state[name] = torch.zeros((), dtype=place.dtype)
        elif key is None:
            continue
        elif key not in given:
            missing.append(key)
        else:
            used.add(key)
            value = given[key]
            shape = fitted_shape(value, place, linear=net.layout.caffe)
            if shape is None or value.is_floating_point() != place.is_floating_point():
                misfits.append(f"{key}: got {_shown(value)}, expected {_shown(place)}")
            else:
                state[name] = value.reshape(shape).to(place.dtype)
    left_over = [key for key in given if key not in used and not key.startswith(net.layout.unused)]
    problems = [
        f"{kind}: {listed(names, MOST_LISTED)}"
        for kind, names in (
            ("missing", missing),
            ("left over", left_over),
            ("of another shape", misfits),
            ("not as fixed in the release", _wrong_constants(net.layout.constants, given)),
        )
        if names
    ]
    if problems:
        raise CheckpointError(f"does not fit {net.name}: {'; '.join(problems)}")
    return state


def fitted_shape(value: Tensor, place: Tensor, *, linear: bool = False) -> torch.Size | None:
    """Return the shape that a parameter takes at its place, or None where it does not fit.

    Args:
        value: as stored.
        place: of our shape.
        linear: also take Caffe's shapes: with dimensions of 1 more or fewer, and linear layers,
            whose inputs are those of a convolution in one row.

    Example:
        >>> fc6 = torch.empty(1, 1, 8, 2 * 3 * 3)
        >>> fitted_shape(fc6, torch.empty(8, 2, 3, 3), linear=True)
        torch.Size([8, 2, 3, 3])
        >>> fitted_shape(fc6, torch.empty(8, 2, 3, 3)) is None
        True
    """
    if value.shape == place.shape:
        return place.shape
    if linear:
        stored, wanted = _without_ones(value.shape), _without_ones(place.shape)
        row = _without_ones((place.shape[0], place[0].numel())) if place.dim() else wanted
        if stored in (wanted, row):
            return place.shape
    return None


def stored_upsampling(state: Mapping[str, Tensor]) -> str:
    """Return the ``upsampling`` of an FCN whose deconvolutions are all there.

    Returns:
        ``"fixed"`` where all are bilinear, ``"paper"`` where only those before the last were
        learned, else ``"learned"``.
    """
    learned = [
        name
        for name, weight in state.items()
        if ".deconvolution." in name and not is_bilinear(weight)
    ]
    if any(".upscore_to_image." in name for name in learned):
        return "learned"
    return "paper" if learned else "fixed"


def is_bilinear(weight: Tensor) -> bool:
    """Whether a deconvolution's weights are the bilinear filter of each class, to rounding.

    Shape:
        (K, K, kernel, kernel).
    """
    line = torch.tensor(bilinear_filter(weight.shape[-1]))
    expected = torch.zeros_like(weight)
    expected.diagonal().copy_(torch.outer(line, line)[:, :, None])
    return torch.allclose(weight, expected, rtol=0, atol=1e-6)


def _create(net: Net, architecture: Mapping[str, Any], device: str) -> Segmenter:
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(0)
        return create_model(**architecture, classes=net.classes, extra_classes=net.extra_classes)


def _wrong_constants(constants: Mapping[str, float], given: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{key}: got {given[key].min().item():g} to {given[key].max().item():g}, expected {value:g}"
        for key, value in constants.items()
        if not torch.allclose(given[key], torch.full_like(given[key], value), rtol=1e-4, atol=0)
    ]


def _without_ones(shape: torch.Size | tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)


def _shown(value: Tensor) -> str:
    kind = "" if value.is_floating_point() else f" {value.dtype}"
    return f"{list(value.shape)}{kind}"
