"""Heads that convolve the fused maps get deferred ones; everybody else gets ordinary tensors."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from lookwider.context import PyramidContext
from lookwider.kernels.switches import VARIABLE, without
from lookwider.layers.deferred import DeferredMap
from lookwider.models import create_model

MODELS = ("pspnet", "parsenet")


@pytest.fixture(autouse=True)
def every_path(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def network(name, **options):
    torch.manual_seed(0)
    return create_model(name, backbone="resnet18", num_classes=3, **options).double().eval()


def images():
    torch.manual_seed(1)
    return torch.randn(1, 3, 65, 65, dtype=torch.float64)


def trunk_gradients(model):
    model.zero_grad()
    (model(images()) ** 2).mean().backward()
    return {n: p.grad.clone() for n, p in model.backbone.named_parameters() if p.grad is not None}


def check_gradients(model):
    """The gradients of a model are those of its plain form."""
    fast = trunk_gradients(model)
    with without():
        plain = trunk_gradients(model)
    assert fast.keys() == plain.keys()
    assert float(plain["network.conv1.weight"].abs().max()) > 0
    for name, gradient in plain.items():
        largest = float(gradient.abs().max())
        torch.testing.assert_close(fast[name], gradient, rtol=1e-9, atol=1e-9 * largest)


def deferred_maps(model):
    """Whether a head of the model is given a deferred map."""
    found = []
    fuse = model.context.fuse

    def noted(*given):
        fused = fuse(*given)
        found.extend(isinstance(maps, DeferredMap) for maps in fused)
        return fused

    model.context.fuse = noted
    model(images())
    del model.context.fuse
    return any(found)


class Doubled(torch.autograd.Function):
    """A function of one's own, which PyTorch applies without asking its tensors."""

    @staticmethod
    def forward(ctx, maps):
        return 2 * maps

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class OwnHead(nn.Module):
    def __init__(self, head, again=False):
        super().__init__()
        self.head, self.again = head, again

    def forward(self, features, size):
        if self.again:
            return checkpoint(lambda *maps: self.head(maps, size), *features, use_reentrant=True)
        return self.head(tuple(Doubled.apply(maps) for maps in features), size)


class OwnPyramid(PyramidContext):
    def fuse(self, features, summary, places=None):
        return tuple(Doubled.apply(maps) for maps in super().fuse(features, summary, places))


@pytest.mark.parametrize("name", MODELS)
def test_heads_of_this_package_get_deferred_maps_and_the_plain_gradients(name):
    model = network(name)
    assert deferred_maps(model)
    assert deferred_maps(model.compile_for_inference())
    check_gradients(model)
    features = model.features(images())
    for maps in model.context.fuse(features, model.context.summarise(features)):
        assert type(maps) is torch.Tensor


@pytest.mark.parametrize("name", MODELS)
def test_a_head_of_ones_own_gets_ordinary_tensors(name):
    model = network(name)
    model.heads["main"] = OwnHead(model.heads["main"])
    assert not deferred_maps(model)
    check_gradients(model)


@pytest.mark.parametrize("name", MODELS)
def test_a_head_that_is_computed_again_has_its_gradients(name):
    model = network(name)
    head = model.heads["main"]
    for again in (True, False):
        features = model.features(images())
        fused = model.context.fuse(features, model.context.summarise(features))

        def scores(*maps):
            return head(maps, (65, 65)).scores

        model.zero_grad()
        (checkpoint(scores, *fused, use_reentrant=again) ** 2).sum().backward()
        found = model.backbone.network.conv1.weight.grad.clone()
        model.zero_grad()
        (model.scores(images())["main"].scores ** 2).sum().backward()
        torch.testing.assert_close(
            found, model.backbone.network.conv1.weight.grad, rtol=1e-9, atol=1e-9
        )


def test_a_layer_and_a_context_of_ones_own_get_ordinary_tensors():
    class OwnLayer(nn.Conv2d):
        def forward(self, maps):
            return super().forward(Doubled.apply(maps))

    model = network("pspnet")
    hidden = model.heads["main"].hidden
    hidden.conv = OwnLayer(hidden.conv.in_channels, hidden.conv.out_channels, 3).double()
    check_gradients(model)
    model = network("pspnet")
    context = OwnPyramid((512,)).double().eval()
    context.load_state_dict(model.context.state_dict())
    model.context = context
    check_gradients(model)
    model = network("pspnet")
    conv = model.heads["main"].hidden.conv
    plain = conv.forward
    conv.forward = lambda maps: plain(Doubled.apply(maps))
    check_gradients(model)


LAYERS = [
    ("pspnet", "heads.main.hidden"),
    ("pspnet", "heads.main.hidden.conv"),
    ("parsenet", "heads.main.scores.0"),
    ("parsenet", "context.local_norms.0"),
]


@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_hooks_of_backward_passes_see_the_gradients_of_the_plain_form(name, layer):
    model = network(name)
    assert deferred_maps(model)
    seen = []
    part = model.get_submodule(layer)
    with part.register_full_backward_hook(lambda _m, ins, outs: seen.append((*ins, *outs))):
        check_gradients(model)
    fast, plain = seen
    assert len(fast) == len(plain) == 2
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    with part.register_full_backward_pre_hook(lambda _m, outs: (3 * outs[0],)):
        check_gradients(model)
    assert deferred_maps(model)


@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_gradients_of_what_a_hook_has_kept_can_be_asked_for(name, layer):
    model, found = network(name), []
    for plain in (False, True):
        kept = []
        with (
            without(*(() if plain else ("labels",))),
            model.get_submodule(layer).register_forward_pre_hook(
                lambda _m, ins, kept=kept: kept.append(ins[0])
            ),
        ):
            total = (model(images()) ** 2).sum()
            found.append(torch.autograd.grad(total, kept)[0])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12)


def test_hooks_of_all_modules_see_ordinary_tensors():
    model, seen = network("pspnet"), set()
    hook = nn.modules.module.register_module_forward_pre_hook(
        lambda _m, ins: seen.update(type(given) for given in ins)
    )
    with hook:
        model(images())
    assert DeferredMap not in seen


@pytest.mark.parametrize("name", MODELS)
def test_a_head_may_be_compiled_alone(name):
    model = network(name)
    with torch.no_grad():
        expected = model(images())
        model.heads["main"].compile(backend="eager")
        torch.testing.assert_close(model(images()), expected, rtol=1e-10, atol=1e-10)
