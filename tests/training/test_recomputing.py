"""Activations that are computed again: the same losses, gradients and statistics, bit for bit."""

from __future__ import annotations

import copy
import types
from contextlib import nullcontext

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tests.training import tiny
from torch import Tensor, nn

from lookwider.backbones import create_backbone
from lookwider.backbones.chain import ChainBackbone
from lookwider.errors import ConfigError
from lookwider.layers.modes import evaluating
from lookwider.training import run
from lookwider.training.recomputing import blocks, recomputed, recomputed_activations, stages

TRUNKS = {
    "resnet18": {},
    "resnet26": {"output_stride": 8},
    "test_convnext": {},
    "test_efficientnet": {},
    "densenet121": {},  # without rows of blocks
    "alexnet": {},
    "googlenet": {"layers": ("conv3", "inception3b")},
    "vgg16": {"layers": ("conv2_2", "pool3")},
}


def step(trunk: nn.Module, images: Tensor, precision: bool = False) -> list[Tensor]:
    """Return the maps, all gradients and all statistics of one training step."""
    torch.manual_seed(7)  # of dropout
    trunk.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision):
        maps = trunk(images)
        loss = torch.stack([(m.float() ** 2).mean() for m in maps]).sum()
    loss.backward()
    torch.manual_seed(7)
    found = [*maps, torch.rand(())]  # the random state goes on as without
    found += [p.grad.clone() for p in trunk.parameters() if p.grad is not None]
    return found + [buffer.clone() for buffer in trunk.buffers()]


@pytest.mark.parametrize("name", TRUNKS)
def test_every_number_of_a_step_is_the_same_to_the_last_bit(name):
    torch.manual_seed(0)
    trunk = create_backbone(name, **TRUNKS[name]).train()
    other = copy.deepcopy(trunk)
    images = torch.randn(2, 3, 65, 64)
    for _ in range(2):
        expected = step(trunk, images)
        with recomputed_activations(other):
            found = step(other, images)
    assert len(found) == len(expected)
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))
    assert not any("forward" in vars(module) for module in other.modules())


def test_the_same_in_bfloat16():
    torch.manual_seed(0)
    trunk = create_backbone("test_convnext").train()
    other, images = copy.deepcopy(trunk), torch.randn(1, 3, 32, 32)
    expected = step(trunk, images, precision=True)
    with recomputed_activations(other):
        found = step(other, images, precision=True)
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_dropout_draws_the_same_numbers_again():
    class Block(nn.Sequential):
        """What drops out and counts its calls."""

    torch.manual_seed(0)
    block = Block(nn.Conv2d(3, 8, 3), nn.Dropout(0.5), nn.Conv2d(8, 8, 3), nn.Dropout(0.5))
    images = torch.randn(1, 3, 9, 9, requires_grad=True)
    found = []
    for compute in (block, lambda x: recomputed(block, x)):
        torch.manual_seed(3)
        (gradient,) = torch.autograd.grad((compute(images) ** 2).sum(), images)
        found.append((gradient, torch.rand(())))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_less_is_kept_between_the_passes():
    def kept(trunk: nn.Module) -> int:
        sizes: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            trunk(images)
        return sum(sizes.values())

    images = torch.randn(1, 3, 64, 64)
    for name in ("resnet26", "vgg16"):
        trunk = create_backbone(name).train()
        weights = sum(p.numel() for p in trunk.parameters())
        plain = kept(trunk)
        with recomputed_activations(trunk):
            again = kept(trunk)
        assert again - weights < 0.5 * (plain - weights), name


def test_copies_made_meanwhile_compute_with_their_own_weights():
    torch.manual_seed(0)
    trunk = create_backbone("resnet18")
    images = torch.randn(2, 3, 64, 64)
    with recomputed_activations(trunk):
        other = copy.deepcopy(trunk)
        for parameter in other.parameters():
            parameter.data.zero_()
        assert not any(maps.any() for maps in other(images)[1:])
        with evaluating(trunk), torch.no_grad():
            inside = trunk(images)
    with evaluating(trunk), torch.no_grad():
        outside = trunk(images)
    assert all(torch.equal(one, two) for one, two in zip(inside, outside, strict=True))


@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_gradients_are_computed_as_often_as_they_are_asked_for(name):
    torch.manual_seed(0)
    trunk = create_backbone(name).train()
    other, images = copy.deepcopy(trunk), torch.randn(2, 3, 48, 48)
    first, *_ = trunk.parameters()
    found = []
    for network, again in ((trunk, nullcontext()), (other, recomputed_activations(other))):
        first, *_ = network.parameters()
        torch.manual_seed(7)
        with again:
            total = (network(images)[-1] ** 2).mean()
        twice = [torch.autograd.grad(total, first, retain_graph=True)[0] for _ in range(2)]
        (slope,) = torch.autograd.grad(total, first, create_graph=True)
        (curve,) = torch.autograd.grad((slope**2).sum(), first)
        found.append([*twice, curve, *(buffer.clone() for buffer in network.buffers())])
    assert found[0][2].any()
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_a_forward_method_of_an_instance_is_called_and_comes_back():
    torch.manual_seed(0)
    trunks = create_backbone("resnet18").eval(), create_backbone("vgg16").eval()
    changed = blocks(trunks[0])[0], trunks[1]
    for trunk, part in zip(trunks, changed, strict=True):
        images, first = torch.randn(1, 3, 33, 33), next(iter(trunk.parameters()))
        plain = trunk(images)[-1]
        part.forward = types.MethodType(twice_as_large, part)
        expected = trunk(images)[-1]
        own = vars(part)["forward"]
        assert not torch.allclose(expected, plain)
        with recomputed_activations(trunk):
            found = trunk(images)[-1]
            with recomputed_activations(trunk):
                inside = trunk(images)[-1]
            assert vars(part)["forward"] is not own
            copied = copy.deepcopy(trunk)
            first.data.zero_()
            assert torch.equal(copied(images)[-1], expected)
        assert vars(part)["forward"] is own
        for maps in (found, inside):
            assert torch.equal(maps, expected)


def twice_as_large(module, images):
    found = type(module).forward(module, images)
    return 2 * found if isinstance(found, Tensor) else tuple(2 * maps for maps in found)


def test_stages_end_at_poolings_and_at_the_maps_asked_for():
    trunk = create_backbone("vgg16", layers=("conv2_1", "pool3"))
    assert isinstance(trunk, ChainBackbone)
    assert [list(stage) for stage in stages(trunk)] == [
        ["conv1_1", "conv1_2", "pool1"],
        ["conv2_1"],
        ["conv2_2", "pool2"],
        ["conv3_1", "conv3_2", "conv3_3", "pool3"],
    ]


def test_a_row_of_single_layers_has_nothing_to_forget():
    with (
        pytest.raises(ConfigError, match="got a trunk of single layers, expected one of blocks"),
        recomputed_activations(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())),
    ):
        pass


def test_a_run_ends_with_the_same_weights_and_average(tmp_path, monkeypatch):
    """With an average of the weights, which copies the model, and features dropped out."""
    monkeypatch.setattr(run, "create_model", tiny.model_with_dropout)
    data = tiny.make_data(tmp_path / "tiny")
    for name, again in (("plain", False), ("again", True)):
        config = tiny.tiny_config(data, tmp_path / name, steps=4, checkpoint_activations=again)
        run.train(config, Console(quiet=True))
    for name in ("model", "training"):
        one, two = (
            load_file(tmp_path / kind / "last" / f"{name}.safetensors")
            for kind in ("plain", "again")
        )
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)
