from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookwider import ScoreMap, create_model
from lookwider.bench.forms import (
    Form,
    fast_dtype,
    inference_forms,
    training_forms,
    training_step,
    upsampled,
)
from lookwider.kernels import training_convolutions
from lookwider.kernels.switches import VARIABLE, enabled
from lookwider.layers.taps import Taps
from lookwider.models import Segmenter

SIDES = st.integers(1, 40)


def tiny() -> Segmenter:
    torch.manual_seed(0)
    return create_model("pspnet", backbone="resnet18", layer="layer2", hidden=8, num_classes=4)


@given(h=SIDES, w=SIDES, height=SIDES, width=SIDES, kind=st.sampled_from(["aligned", "half_pixel"]))
@settings(max_examples=40, deadline=None)
def test_the_plain_upsampling_is_that_of_the_scores(
    h: int, w: int, height: int, width: int, kind: str
) -> None:
    make = getattr(Taps, kind)
    scores = ScoreMap(torch.randn(2, 3, h, w), make(h, height), make(w, width))
    torch.testing.assert_close(upsampled(scores), scores.logits(), rtol=1e-4, atol=1e-5)


def test_a_crop_and_a_deconvolution_are_those_of_the_scores() -> None:
    maps = torch.randn(1, 2, 9, 11)
    crop = ScoreMap(maps, Taps.identity(9, 2, 5), Taps.identity(11, 3, 8))
    assert torch.equal(upsampled(crop), maps[..., 2:7, 3:11])
    fading = ScoreMap(maps, Taps.deconvolution(9, 4, 2), Taps.deconvolution(11, 4, 2))
    assert torch.equal(upsampled(fading), fading.logits())
    shrunk = ScoreMap(maps, Taps.aligned(9, 4), Taps.aligned(11, 3))
    torch.testing.assert_close(upsampled(shrunk), shrunk.logits())


def test_both_forms_agree_and_leave_the_model_as_it_is() -> None:
    model = tiny()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    forms = inference_forms(model.eval(), torch.float32)
    images = torch.randn(2, 3, 33, 47)
    labels = {name: form.segment(images) for name, form in forms.items()}
    scores = {name: form.main_scores(images).scores for name, form in forms.items()}
    torch.testing.assert_close(scores["lookwider"], scores["plain"], rtol=1e-4, atol=1e-5)
    assert (labels["lookwider"] == labels["plain"]).double().mean() > 0.999
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_only_the_plain_form_leaves_the_fast_paths_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    model = tiny().eval()
    with Form("plain", model, torch.float32).paths():
        assert not enabled("labels")
    with Form("lookwider", model, torch.float32).paths():
        assert enabled("labels")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_training_steps_have_the_same_loss(dtype: torch.dtype) -> None:
    images, labels = torch.randn(2, 3, 33, 40), torch.randint(4, (2, 33, 40))
    losses = []
    for form in training_forms(tiny(), dtype).values():
        torch.manual_seed(3)  # of dropout
        losses.append(training_step(form, images, labels)())
        assert all(p.grad is not None for p in form.model.parameters())
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    assert losses[0] == pytest.approx(losses[1], rel=tolerance)


def test_only_the_fast_step_has_the_convolutions_of_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(training_convolutions, "POINTWISE_WEIGHTS", 1)
    images, labels = torch.randn(2, 3, 33, 40), torch.randint(4, (2, 33, 40))
    for name, form in training_forms(tiny(), torch.float32).items():
        score = form.model.get_submodule("heads.main.score")
        own: list[bool] = []
        with score.register_forward_pre_hook(
            lambda module, _, own=own: own.append("_conv_forward" in vars(module))
        ):
            training_step(form, images, labels)()
        assert own == [name == "lookwider"]
        assert "_conv_forward" not in vars(score)


def test_the_type_of_a_name() -> None:
    cpu = torch.device("cpu")
    assert fast_dtype("bfloat16", cpu) == torch.bfloat16
    assert fast_dtype("float32", cpu) == torch.float32
    amx = torch.cpu._is_amx_tile_supported()
    assert fast_dtype("auto", cpu) == (torch.bfloat16 if amx else torch.float32)
