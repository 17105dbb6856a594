"""Compiled networks against the networks as they are."""

import copy
import functools
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lookwider.engine import inference_dtype, parts
from lookwider.engine.convolution import FusedConv2d
from lookwider.errors import ConfigError, LookwiderError
from lookwider.kernels.switches import without
from lookwider.models import create_model

FAMILIES = {
    "fcn8s, vgg-like": ("fcn8s", {"backbone": "alexnet", "zero_scores": False}),
    "fcn8s": ("fcn8s", {"backbone": "resnet18", "zero_scores": False}),
    "fcn32s, googlenet": ("fcn32s", {"backbone": "googlenet", "zero_scores": False}),
    "fcn32s, efficientnet": ("fcn32s", {"backbone": "efficientnet_b0", "zero_scores": False}),
    "parsenet": ("parsenet", {"backbone": "resnet18", "layers": ["layer1", "layer2"]}),
    "parsenet, early": ("parsenet", {"backbone": "resnet18", "fusion": "early"}),
    "parsenet, transformer": (
        "parsenet",
        {"backbone": "vit_tiny_patch16_224", "output_stride": 16},
    ),
    "pspnet": ("pspnet", {"backbone": "resnet18", "extra_classes": {"other": 3}}),
    "pspnet, group": ("pspnet", {"backbone": "resnet18", "norm": "group", "bins": (1, 3)}),
    "pspnet, maxima": ("pspnet", {"backbone": "resnet26", "pooling": "max", "reduce": False}),
}


@functools.cache
def model_of(family):
    torch.manual_seed(0)
    name, options = FAMILIES[family]
    model = create_model(name, num_classes=5, **options).eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, 0, 0.1)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return model


@functools.cache
def compiled(family):
    return model_of(family).compile_for_inference()


def scores(model, images):
    with torch.inference_mode():
        return {name: maps.scores for name, maps in model.scores(images).items()}


def assert_near(found, wanted, near):
    assert found.keys() == wanted.keys()
    for name, maps in wanted.items():
        assert found[name].shape == maps.shape
        assert found[name].dtype == torch.float32
        assert float((found[name] - maps).abs().max()) <= near * float(maps.abs().max()), name


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=3)
@given(size=st.tuples(st.integers(1, 90), st.integers(1, 90)), count=st.integers(1, 2))
def test_scores_are_the_networks(family, size, count):
    images = torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))
    assert_near(scores(compiled(family), images), scores(model_of(family), images), 1e-5)


@pytest.mark.parametrize("family", ["pspnet", "parsenet", "fcn8s"])
def test_every_convolution_is_fused_and_no_normalisation_left(family):
    modules = list(compiled(family).modules())
    convolutions = [part for part in modules if isinstance(part, nn.Conv2d)]
    assert all(isinstance(part, FusedConv2d) for part in convolutions)
    assert not [part for part in modules if isinstance(part, nn.BatchNorm2d)]


@pytest.mark.parametrize("path", ["mkldnn", "winograd", "heads", "numba", "engine"])
def test_without_a_path_the_scores_stay(path):
    images = torch.randn(1, 3, 40, 50)
    with without(path):
        assert_near(scores(compiled("pspnet"), images), scores(model_of("pspnet"), images), 1e-5)
        fresh = model_of("pspnet").compile_for_inference()
        assert_near(scores(fresh, images), scores(model_of("pspnet"), images), 1e-5)


@pytest.mark.parametrize("family", ["pspnet, group", "parsenet", "fcn8s", "fcn32s, efficientnet"])
def test_bfloat16_is_near(family):
    fast = model_of(family).compile_for_inference(torch.bfloat16)
    images = torch.randn(1, 3, 64, 50)
    assert_near(scores(fast, images), scores(model_of(family), images), 0.1)
    assert fast.compiled == torch.bfloat16


def test_float64_is_exact():
    model = copy.deepcopy(model_of("pspnet")).double()
    images = torch.randn(1, 3, 33, 40, dtype=torch.float64)
    found, wanted = scores(model.compile_for_inference(), images), scores(model, images)
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


def test_the_original_stays_and_is_not_followed():
    model = copy.deepcopy(model_of("pspnet"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    fast = model.compile_for_inference()
    assert model.training
    assert all(part.training for part in model.modules())
    assert not fast.training
    images = torch.randn(1, 3, 32, 32)
    wanted = scores(fast, images)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
        tensor.zero_()
    assert_near(scores(fast, images), wanted, 0)


def test_training_is_refused():
    with pytest.raises(LookwiderError, match=r"compiled for inference.*train the network that"):
        compiled("pspnet").train()
    assert compiled("pspnet").eval().compile_for_inference() is compiled("pspnet")


def test_all_that_a_network_offers():
    model, fast = model_of("pspnet"), compiled("pspnet")
    assert (fast.classes, fast.alignment, fast.device) == (
        model.classes,
        model.alignment,
        model.device,
    )
    image = torch.randint(0, 256, (40, 30, 3), dtype=torch.uint8).numpy()
    for stitch in (1, 2):
        found = fast.predict(image, probabilities=True, shift_and_stitch=stitch)
        wanted = model.predict(image, probabilities=True, shift_and_stitch=stitch)
        assert (found.labels == wanted.labels).mean() > 0.99
        assert abs(found.probabilities - wanted.probabilities).max() < 1e-4


def test_is_copied_stored_and_shared_by_threads():
    fast, images = compiled("parsenet"), torch.randn(1, 3, 40, 50)
    wanted = scores(fast, images)
    assert_near(scores(copy.deepcopy(fast), images), wanted, 1e-5)
    assert_near(scores(pickle.loads(pickle.dumps(fast)), images), wanted, 1e-5)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: scores(fast, images), range(8)):
            assert_near(found, wanted, 1e-5)


def test_a_wrong_graph_is_noticed(monkeypatch):
    original = parts.optimised

    def wrong(module, **options):
        fast = original(module, **options)
        for part in fast.modules():
            if isinstance(part, FusedConv2d):
                part.relu = not part.relu
        return fast

    monkeypatch.setattr(parts, "optimised", wrong)
    fast = model_of("fcn8s").compile_for_inference()
    images = torch.randn(1, 3, 40, 50)
    assert_near(scores(fast, images), scores(model_of("fcn8s"), images), 1e-6)


def test_a_rewriting_that_fails_leaves_the_part_as_it_is(monkeypatch):
    original = parts.optimised

    def failing(module, **options):
        fast = original(module, **options)
        if "Head" not in type(module).__name__:
            raise IndexError("tuple index out of range")
        return fast

    monkeypatch.setattr(parts, "optimised", failing)
    fast, images = model_of("pspnet").compile_for_inference(), torch.randn(1, 3, 40, 50)
    assert_near(scores(fast, images), scores(model_of("pspnet"), images), 1e-5)
    assert not [part for part in fast.backbone.modules() if isinstance(part, FusedConv2d)]
    assert [part for part in fast.heads.modules() if isinstance(part, FusedConv2d)]


class Trunk(nn.Module):
    """A trunk whose layers are given their input by its name."""

    def __init__(self, trunk):
        super().__init__()
        self.trunk, self.drop = trunk, nn.Dropout()
        for name in ("layers", "channels", "grids", "preprocessing"):
            setattr(self, name, getattr(trunk, name))

    def forward(self, images):
        return [self.drop(input=maps) for maps in self.trunk(images)]


def test_a_trunk_that_names_its_inputs():
    model = copy.deepcopy(model_of("fcn8s"))
    model.backbone = Trunk(model.backbone)
    images = torch.randn(1, 3, 40, 50)
    fast = model.eval().compile_for_inference()
    assert_near(scores(fast, images), scores(model, images), 1e-5)
    assert not [part for part in fast.modules() if isinstance(part, nn.BatchNorm2d)]


@pytest.mark.parametrize("family", ["pspnet", "parsenet, transformer"])
def test_a_conversion_converts_all(family):
    images = torch.randn(1, 3, 33, 40)
    fast = copy.deepcopy(compiled(family)).double()
    model = copy.deepcopy(model_of(family)).double()
    assert fast.compiled == torch.float64
    found, wanted = fast.scores(images.double()), model.scores(images.double())
    assert found["main"].scores.dtype == torch.float64
    # folded in float32
    torch.testing.assert_close(found["main"].scores, wanted["main"].scores, rtol=1e-4, atol=1e-5)
    half = model_of(family).compile_for_inference(torch.bfloat16)
    assert half.compile_for_inference() is half
    assert copy.deepcopy(half).float().compiled == torch.float32


def test_a_compiled_network_is_not_compiled_otherwise():
    fast = compiled("pspnet")
    for options in ({"dtype": torch.bfloat16}, {"dtype": torch.float64}, {"winograd": False}):
        with pytest.raises(ConfigError, match=r"compiled to torch.float32 already.*the original"):
            fast.compile_for_inference(**options)
    assert fast.compile_for_inference(torch.float32) is fast
    assert fast.compile_for_inference(device="meta").device.type == "meta"
    assert fast.device.type == "cpu"


def test_loaded_weights_are_used():
    fast, images = model_of("pspnet").compile_for_inference(), torch.randn(1, 3, 40, 50)
    for _ in range(3):
        scores(fast, images)
    other = copy.deepcopy(model_of("pspnet"))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
    fast.load_state_dict(other.compile_for_inference().state_dict())
    assert_near(scores(fast, images), scores(other, images), 1e-5)


def test_compiled_in_inference_mode_it_has_gradients():
    with torch.inference_mode():
        fast = model_of("pspnet").compile_for_inference()
        fast.scores(torch.randn(1, 3, 32, 32))
    assert not any(tensor.is_inference() for tensor in fast.state_dict().values())
    images = torch.randn(1, 3, 32, 32, requires_grad=True)
    found, wanted = (
        torch.autograd.grad(m.scores(images)["main"].scores.square().sum(), images)[0]
        for m in (fast, model_of("pspnet"))
    )
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated")  # which PyTorch itself uses
def test_forward_mode_derivatives():
    images, direction = torch.randn(2, 1, 3, 32, 32)

    def slope(model):
        _, found = torch.func.jvp(lambda x: model.scores(x)["main"].scores, (images,), (direction,))
        return found.detach()

    found, wanted = slope(compiled("pspnet")), slope(model_of("pspnet"))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5 * float(wanted.abs().max()))


def test_dtypes():
    cpu = torch.device("cpu")
    assert inference_dtype("auto", torch.float32, cpu) in (torch.float32, torch.bfloat16)
    for dtype in ("half", torch.int64, torch.float8_e4m3fn):
        with pytest.raises(
            ConfigError, match=r"got dtype .* expected torch.float32, .*float16, 'auto'"
        ):
            inference_dtype(dtype, torch.float32, cpu)
