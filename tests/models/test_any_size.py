"""Every model on images of any size: the fast forms against the plain ones."""

from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from lookwider.kernels.switches import VARIABLE, without
from lookwider.kernels.training_convolutions import trained_convolutions
from lookwider.models import Segmenter, create_model
from lookwider.models.registry import MODELS

OPTIONS = {
    "fcn": {"backbone": "resnet26", "finest_stride": 16, "zero_scores": False},
    "fcn32s": {"backbone": "alexnet", "zero_scores": False},
    "fcn16s": {"backbone": "googlenet", "zero_scores": False},
    "fcn8s": {"backbone": "vgg16", "zero_scores": False},
    "fcn8s_atonce": {"backbone": "regnety_002", "zero_scores": False},
    "parsenet": {"backbone": "vgg16_largefov"},
    "pspnet": {"backbone": "resnet50_psp"},
}
CLASSES = 7
SIZES = st.tuples(
    st.integers(1, 90) | st.integers(1, 600), st.integers(1, 90) | st.integers(1, 1000)
)


@pytest.fixture(scope="module", autouse=True)
def all_paths():
    """Use every fast path, whatever is switched off for the other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE, raising=False)
        yield


@functools.lru_cache(maxsize=1)
def networks(name: str) -> tuple[Segmenter, Segmenter]:
    torch.manual_seed(0)
    model = create_model(name, num_classes=CLASSES, **OPTIONS[name]).eval()
    return model, model.compile_for_inference()


def scenes(size: tuple[int, int], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(2), dtype=dtype)


def test_no_model_is_left_out():
    assert OPTIONS.keys() == MODELS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@settings(deadline=None, max_examples=4, derandomize=True)
@example(size=(600, 1000))
@given(size=SIZES)
def test_outputs_labels_and_loss_are_the_plain_ones(name, size):
    model, fast = networks(name)
    images = scenes(size)
    truth = torch.randint(0, CLASSES, (1, *size), generator=torch.Generator().manual_seed(3))
    truth[:, :1] = 255
    with torch.inference_mode():
        with without():
            plain = model.scores(images)["main"]
            logits = plain.logits()
            loss = torch.nn.functional.cross_entropy(logits, truth, ignore_index=255)
        found = fast.scores(images)["main"]
        near = 1e-5 * float(logits.abs().max())
        assert float((found.logits() - logits).abs().max()) <= near
        best, labels = logits.max(1), found.labels(dtype=torch.int64)
        lost = best.values - logits.gather(1, labels[:, None])[:, 0]
        assert float(lost.max()) <= 2 * near  # another label only where the two are equal
        if size[0] > 1:
            torch.testing.assert_close(found.cross_entropy(truth), loss, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fcn", "fcn32s", "fcn8s_atonce", "parsenet", "pspnet"])
@settings(deadline=None, max_examples=2, derandomize=True)
@given(size=st.tuples(st.integers(1, 150), st.integers(1, 250)))
def test_gradients_are_the_plain_ones(name, size):
    """In float64: in float32 single values fall on the other side of a ReLU's zero."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=CLASSES, **OPTIONS[name]).eval().double()
    images = scenes(size, torch.float64).contiguous(memory_format=torch.channels_last)
    model = model.to(memory_format=torch.channels_last)
    truth = torch.randint(0, CLASSES, (1, *size), generator=torch.Generator().manual_seed(3))
    parameters = [p for p in model.parameters() if p.requires_grad]

    def gradients() -> list[Tensor]:
        loss = model.scores(images)["main"].cross_entropy(truth)
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        return [torch.zeros(()) if g is None else g for g in found]

    with without():
        expected = gradients()
    with trained_convolutions(model):
        for found, wanted in zip(gradients(), expected, strict=True):
            assert float((found - wanted).norm()) <= 1e-10 * max(1.0, float(wanted.norm()))
