"""Predictions and evaluations by a compiled network, and which network is compiled when."""

import numpy as np
import pytest
import torch
from PIL import Image

from lookwider.data.scenes import open_scenes
from lookwider.errors import ConfigError
from lookwider.evaluation import evaluate
from lookwider.inference.compiled import for_inference, named_dtype
from lookwider.inference.predictor import find_images, predict_files
from lookwider.kernels.switches import VARIABLE, without
from lookwider.models import Segmenter, create_model
from lookwider.probes.network import Network


@pytest.fixture(scope="module", autouse=True)
def all_paths():
    """Use every fast path; tests switch off what they compare with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE, raising=False)
        yield


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model("pspnet", backbone="resnet18", classes=open_scenes("test").classes)


@pytest.fixture
def compilations(monkeypatch):
    """Count how often networks are compiled."""
    calls = []
    original = Segmenter.compile_for_inference

    def counted(self, *args, **options):
        calls.append(options)
        return original(self, *args, **options)

    monkeypatch.setattr(Segmenter, "compile_for_inference", counted)
    return calls


def test_compiles_what_is_not_compiled(model):
    fast = for_inference(model)
    assert fast.compiled == torch.float32
    assert for_inference(fast) is fast
    assert for_inference(model, torch.bfloat16).compiled == torch.bfloat16
    with without("engine"):
        assert for_inference(model) is model
        assert for_inference(model, torch.bfloat16).compiled == torch.bfloat16


def test_names_of_dtypes():
    assert named_dtype("auto") == "auto"
    with pytest.raises(ConfigError, match="float32"):
        named_dtype("float23")


def test_files_are_predicted_by_one_compiled_network(model, compilations, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    images = find_images([tmp_path])
    predict_files(model, images, tmp_path / "fast", show=False)
    assert len(compilations) == 1
    with without():
        predict_files(model, images, tmp_path / "plain", show=False)
    assert len(compilations) == 1
    for path in (tmp_path / "plain").glob("*.png"):
        one, other = (np.array(Image.open(tmp_path / f / path.name)) for f in ("fast", "plain"))
        assert (one == other).mean() > 0.99


def test_evaluation_says_its_precision(model, compilations):
    data = open_scenes("test", "count=2,size=48x64")
    fast = evaluate(model, data, show=False)
    assert fast.protocol["precision"] == "float32"
    assert len(compilations) == 1
    half = evaluate(model.compile_for_inference(torch.bfloat16), data, show=False)
    assert half.protocol["precision"] == "bfloat16"
    with without():
        plain = evaluate(model, data, show=False)
    moved = (fast.scores.counts - plain.scores.counts).abs().sum()
    assert moved <= 0.01 * plain.scores.counts.sum()


def test_probes_compile_once_and_again_for_changed_weights(model, compilations):
    network, images = Network(model), torch.randn(1, 3, 33, 40)
    with torch.no_grad():
        first = network.activations(images, ["scores"])["scores"]
        assert torch.equal(network.activations(images, ["scores"])["scores"], first)
        assert compilations == [{"winograd": False}]
        with without():
            plain = network.activations(images, ["scores"])["scores"]
        torch.testing.assert_close(first, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))
        next(iter(model.heads.values())).score.bias.add_(1)
        moved = network.activations(images, ["scores"])["scores"]
        torch.testing.assert_close(moved, first + 1, rtol=1e-4, atol=1e-4)
        assert len(compilations) == 2
        next(iter(model.heads.values())).score.bias.data.add_(1)  # which PyTorch does not count
        moved = network.activations(images, ["scores"])["scores"]
    torch.testing.assert_close(moved, first + 2, rtol=1e-4, atol=1e-4)
    assert len(compilations) == 3


def test_probes_of_layers_hooks_and_gradients_use_the_network_itself(model, compilations):
    network, images = Network(model), torch.randn(1, 3, 33, 40)
    network.activations(images, ["scores"])["scores"].sum().backward()
    seen = []
    handle = model.backbone.register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        network.activations(images, ["scores"])
        handle.remove()
        network.activations(images, ["backbone[0]"])
    assert seen
    assert not compilations
