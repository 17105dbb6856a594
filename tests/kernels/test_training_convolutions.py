"""Convolutions in training: values and gradients as PyTorch's own, whatever form computes them."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional

from lookwider.kernels import training_convolutions
from lookwider.kernels.switches import VARIABLE, without
from lookwider.kernels.training_convolutions import (
    trained_conv2d,
    trained_convolutions,
    weight_gradient,
    weight_gradient_by_channels,
)
from lookwider.models import create_model

Pair = tuple[int, int]
few = st.tuples(st.integers(1, 3), st.integers(1, 3))


def obvious_weight_gradient(
    maps: Tensor, gradient: Tensor, kernel: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """Every weight's gradient as a sum over the cells of the output, as the chain rule says."""
    padded = functional.pad(maps, (padding[1], padding[1], padding[0], padding[0]))
    height, width = gradient.shape[-2:]
    found = maps.new_zeros(gradient.shape[1], maps.shape[1], *kernel)
    for dy in range(kernel[0]):
        for dx in range(kernel[1]):
            top, left = dy * dilation[0], dx * dilation[1]
            seen = padded[:, :, top : top + height, left : left + width]
            found[:, :, dy, dx] = torch.einsum("nohw,nchw->oc", gradient, seen)
    return found


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the own forms whatever the width."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(training_convolutions, "POINTWISE_WEIGHTS", 1)
    monkeypatch.setattr(
        training_convolutions,
        "WIDE",
        dict.fromkeys((torch.float64, torch.float32, torch.bfloat16), 1),
    )
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: True)
    monkeypatch.setattr(training_convolutions, "CHUNK", 2)


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    tensor = torch.randn(shape, dtype=dtype)
    if tensor.dim() == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return tensor.requires_grad_()


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.tuples(*(st.integers(1, 5) for _ in range(3)), *(st.integers(1, 9) for _ in range(2))),
    kernel=few,
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    dilation=few,
)
def test_the_gradient_of_weights_is_the_obvious_one(sizes, kernel, padding, dilation):
    count, channels, outputs, height, width = sizes
    maps = random(count, channels, height, width)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    cells = [n + 2 * p - r for n, p, r in zip((height, width), padding, reach, strict=True)]
    if min(cells) < 1:
        return
    gradient = random(count, outputs, *cells)
    expected = obvious_weight_gradient(maps, gradient, kernel, padding, dilation)
    found = weight_gradient(maps.detach(), gradient.detach(), kernel, padding, dilation)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(expected)
    by_channels = weight_gradient_by_channels(maps, gradient, weight, padding, dilation, 2)
    torch.testing.assert_close(by_channels, expected.detach(), rtol=1e-12, atol=1e-12)


def values_and_gradients(convolve, tensors: list[Tensor | None], **options) -> list[Tensor]:
    leaves = [None if t is None else t.detach().clone().requires_grad_() for t in tensors]
    result = convolve(*leaves, **options)
    wanted = [leaf for leaf in leaves if leaf is not None]
    waves = torch.linspace(0, 9, result.numel(), dtype=result.dtype).sin().view_as(result)
    return [result, *torch.autograd.grad((result * waves).sum(), wanted)]


CASES = [
    (1, {}),
    (1, {"padding": 1}),
    (1, {"stride": 2}),
    (3, {"padding": 1}),
    (3, {"padding": (2, 3), "dilation": (2, 3)}),
    (3, {"padding": "same"}),
    (3, {"padding": 1, "stride": 2}),
    (5, {"padding": 2}),
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "options"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.usefixtures("always")
def test_values_and_gradients_are_the_plain_ones(kernel, options, bias, dtype, tolerance):
    torch.manual_seed(0)
    tensors = [
        random(2, 6, 7, 9, dtype=dtype),
        random(4, 6, kernel, kernel, dtype=dtype),
        random(4, dtype=dtype) if bias else None,
    ]
    expected = values_and_gradients(functional.conv2d, tensors, **options)
    found = values_and_gradients(trained_conv2d, tensors, **options)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(
            one, other, rtol=tolerance, atol=tolerance * float(other.detach().abs().max())
        )
    with without("training"):
        switched_off = values_and_gradients(trained_conv2d, tensors, **options)
    assert all(torch.equal(one, other) for one, other in zip(switched_off, expected, strict=True))


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.usefixtures("always")
def test_autocast_computes_in_bfloat16_and_returns_full_gradients(kernel):
    torch.manual_seed(0)
    tensors = [random(2, 6, 7, 9, dtype=torch.float32), random(4, 6, kernel, kernel), random(4)]
    tensors = [tensor.detach().to(torch.float32) for tensor in tensors]
    with torch.autocast("cpu", torch.bfloat16):
        found = values_and_gradients(trained_conv2d, tensors, padding=kernel // 2)
        expected = values_and_gradients(functional.conv2d, tensors, padding=kernel // 2)
    assert [t.dtype for t in found] == [t.dtype for t in expected]
    exact = values_and_gradients(functional.conv2d, tensors, padding=kernel // 2)
    for one, plain, other in zip(found, expected, exact, strict=True):
        own, theirs = ((t.float() - other).abs().max() for t in (one, plain))
        assert own <= 1.5 * theirs + 1e-3 * other.abs().max()


@pytest.mark.usefixtures("always")
def test_gradients_of_gradients():
    torch.manual_seed(0)
    tensors = (random(1, 2, 3, 4), random(2, 2, 3, 3), random(2))
    assert torch.autograd.gradcheck(lambda *t: trained_conv2d(*t, padding=1), tensors)
    assert torch.autograd.gradgradcheck(lambda *t: trained_conv2d(*t, padding=1), tensors)


@pytest.mark.usefixtures("always")
def test_only_what_is_wanted_is_computed():
    maps, weight = random(1, 2, 3, 4), random(2, 2, 3, 3)
    trained_conv2d(maps, weight.detach(), padding=1).sum().backward()
    expected = torch.nn.grad.conv2d_input(maps.shape, weight, torch.ones(1, 2, 3, 4).double(), 1, 1)
    torch.testing.assert_close(maps.grad, expected)
    trained_conv2d(maps.detach(), weight, padding=1).sum().backward()
    assert weight.grad is not None
    assert weight.grad.is_contiguous(memory_format=torch.channels_last)


def test_the_usual_layout_and_evaluation_are_left_to_pytorch(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    calls = []
    monkeypatch.setattr(
        functional, "linear", lambda *args: calls.append(args) or torch.zeros(1, 3, 3, 256)
    )
    usual = torch.randn(1, 256, 3, 3)
    weight = torch.randn(256, 256, 1, 1, requires_grad=True)
    trained_conv2d(usual, weight)
    with torch.no_grad():
        trained_conv2d(usual.contiguous(memory_format=torch.channels_last), weight)
    assert not calls
    trained_conv2d(usual.contiguous(memory_format=torch.channels_last), weight)
    assert len(calls) == 1


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.usefixtures("always")
@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated")  # which PyTorch itself uses
def test_transformed_functions_are_those_of_the_plain_form(kernel):
    torch.manual_seed(0)
    maps = random(2, 3, 4, 5).detach()
    frozen, trained = (random(4, 3, kernel, kernel).detach() for _ in range(2))
    trained.requires_grad_()

    def transformed(convolve):
        def total(maps, weight=frozen):
            return (convolve(maps, weight, None, 1, kernel // 2) ** 2).sum((0, 2, 3))

        yield torch.func.grad(lambda maps: total(maps).sum())(maps)
        yield torch.func.jacrev(lambda weight: total(maps, weight))(frozen)
        yield torch.func.jvp(total, (maps,), (maps.sin(),))[1]
        yield torch.func.jvp(lambda maps: total(maps, trained), (maps,), (maps.sin(),))[1]
        yield torch.func.vmap(lambda one: total(one[None], trained))(maps)
        with forward_ad.dual_level():
            yield forward_ad.unpack_dual(total(forward_ad.make_dual(maps, maps.sin()))).tangent

    forms = [list(transformed(form)) for form in (trained_conv2d, functional.conv2d)]
    for found, expected in zip(*forms, strict=True):
        assert expected.any()
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.usefixtures("always")
def test_autocast_leaves_float64_alone(kernel):
    torch.manual_seed(0)
    tensors = [random(2, 6, 7, 9), random(4, 6, kernel, kernel), random(4)]
    exact = values_and_gradients(functional.conv2d, tensors, padding=kernel // 2)
    with torch.autocast("cpu", torch.bfloat16):
        found = values_and_gradients(trained_conv2d, tensors, padding=kernel // 2)
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.usefixtures("always")
def test_a_wrong_number_of_channels_is_refused_as_by_pytorch(kernel):
    maps, weight = random(1, 5, 4, 4), random(2, 6, kernel, kernel)
    with pytest.raises(RuntimeError, match="to have 6 channels, but got 5 channels instead"):
        trained_conv2d(maps, weight)


@pytest.mark.usefixtures("always")
def test_a_convolution_of_an_instance_is_left_alone():
    layers = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1))
    own = layers[1]._conv_forward = lambda maps, weight, bias: maps * 3
    images = random(1, 8, 3, 3, dtype=torch.float32)
    with trained_convolutions(layers):
        assert torch.equal(layers[1](images), images * 3)
        with trained_convolutions(layers):
            pass
        assert "_conv_forward" in vars(layers[0])
    assert vars(layers[1])["_conv_forward"] is own
    assert "_conv_forward" not in vars(layers[0])


def test_compiled_steps_are_the_plain_ones():
    torch.manual_seed(0)
    maps = random(1, 256, 3, 4, dtype=torch.float32)
    weight = random(256, 256, 1, 1, dtype=torch.float32)
    compiled = torch.compile(trained_conv2d, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(maps, weight), functional.conv2d(maps, weight))


@pytest.mark.usefixtures("always")
def test_a_model_keeps_its_names_and_its_copies_their_own_weights():
    torch.manual_seed(0)
    model = create_model("pspnet", backbone="resnet18", num_classes=3, dropout=0.0)
    model = model.to(memory_format=torch.channels_last, dtype=torch.float64)
    images = random(2, 3, 40, 33)
    names, before = list(model.state_dict()), gradients(model, images)
    with trained_convolutions(model):
        assert list(model.state_dict()) == names
        other = copy.deepcopy(model)
        for parameter in other.parameters():
            parameter.data.zero_()
        after = gradients(model, images)
        assert not other(images).any()
    assert not any("_conv_forward" in vars(module) for module in model.modules())
    assert before.keys() == after.keys()
    for name, gradient in before.items():
        torch.testing.assert_close(
            after[name], gradient, rtol=1e-9, atol=float(1e-9 * gradient.abs().max() + 1e-12)
        )


def gradients(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    torch.manual_seed(1)
    (model(images) ** 2).mean().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
