"""Every parameter by name and shape, and every error; without values, so it is quick."""

from __future__ import annotations

import pytest
import torch
from tests.weights.convert.layer_lists import bilinear, described
from tests.weights.convert.test_nets import LISTS, STATE_DICTS, TRUNKS, empty, trunk

from lookwider.errors import CheckpointError
from lookwider.layers.deconvolution import LearnedDeconvolution
from lookwider.models import count_parameters
from lookwider.weights.convert.mapping import build_model, fitted_shape, is_bilinear
from lookwider.weights.convert.nets import NETS, recognise


def build(parameters, name=None):
    return build_model(recognise(parameters, name), parameters)


def wkentaro(facts, name):
    parameters = empty(facts("state_dicts")[f"wkentaro/{name}"]["state_dict"])
    filters = {n: bilinear(tuple(t.shape)) for n, t in parameters.items() if "upscore" in n}
    return parameters | filters


@pytest.mark.parametrize("layers", LISTS)
def test_every_parameter_of_the_caffe_releases_has_its_place(facts, layers):
    parameters = described(facts(f"layers_{layers}")["layers"])
    model = build(parameters)
    net = NETS[LISTS[layers]]
    running = sum(b.numel() for n, b in model.named_buffers() if "running" in n)
    assert count_parameters(model).total + running == sum(b.numel() for b in parameters.values())
    assert model.classes == net.classes
    assert model.extra_classes == net.extra_classes
    assert model.preprocessing == net.preprocessing
    assert not model.training
    assert model.architecture.get("upsampling", "fixed") == "fixed"


@pytest.mark.parametrize("name", [n for n in STATE_DICTS if "wkentaro" not in n])
def test_every_parameter_of_the_state_dicts_has_its_place(facts, name):
    figures = facts("state_dicts")[name]
    model = build(empty(figures["state_dict"]))
    assert count_parameters(model).learned == figures["params"]
    assert len(model.state_dict()) == len(figures["state_dict"])
    assert model.architecture["aux"] is True


@pytest.mark.parametrize("name", [n for n in STATE_DICTS if "50" in n])
def test_the_auxiliary_head_may_be_left_out(facts, name):
    shapes = facts("state_dicts")[name]["state_dict"]
    model = build(empty({k: s for k, s in shapes.items() if not k.startswith("aux")}))
    assert model.architecture["aux"] is False
    assert list(model.heads) == ["main"]


@pytest.mark.parametrize("name", ["FCN32s", "FCN16s", "FCN8s", "FCN8sAtOnce"])
def test_every_parameter_of_wkentaros_fcns_has_its_place(facts, name):
    net = {"FCN8s": "wkentaro-fcn8s", "FCN8sAtOnce": "wkentaro-fcn8s-atonce"}.get(name)
    model = build(wkentaro(facts, name), net)
    scales = 512 + 256 if name == "FCN8sAtOnce" else 0  # a constant in that code, not a weight
    expected = facts("state_dicts")[f"wkentaro/{name}"]["params"]
    assert count_parameters(model).total == expected + scales
    assert model.architecture["upsampling"] == "fixed"


@pytest.mark.parametrize("name", TRUNKS)
def test_a_trunk_has_scores_that_are_as_new(facts, name):
    model = build(trunk(facts, name))
    assert model.num_classes == 1
    state = model.state_dict()
    assert [key for key in state if state[key].is_meta] == [n for n in state if "backbone" in n]
    if "largefov" in name:
        assert (state["context.local_norms.0.scale"] == 10).all()
        again = build(trunk(facts, name)).state_dict()
        assert all(again[key].is_meta or torch.equal(again[key], state[key]) for key in state)


def test_learned_deconvolutions_are_kept(facts):
    parameters = wkentaro(facts, "FCN8s")

    def upsampling():
        return build(parameters, "wkentaro-fcn8s").architecture["upsampling"]

    parameters["upscore2.weight"][3, 4, 1, 1] += 0.01
    assert upsampling() == "paper"
    parameters["upscore8.weight"][0, 0, 0, 0] += 0.01
    model = build(parameters, "wkentaro-fcn8s")
    assert model.architecture["upsampling"] == "learned"
    last = model.state_dict()["heads.main.upscore_to_image.deconvolution.weight"]
    assert torch.equal(last, parameters["upscore8.weight"])
    parameters["upscore2.weight"][3, 4, 1, 1] -= 0.01
    assert upsampling() == "learned"


def test_bilinear_filters():
    for channels, kernel in ((1, 4), (3, 63)):
        weight = LearnedDeconvolution(channels, kernel, (kernel + 1) // 2).weight.detach()
        assert is_bilinear(weight)
        assert is_bilinear(weight + 1e-7)
        assert not is_bilinear(weight * 1.001)
    assert not is_bilinear(weight.roll(1, 0))


def test_all_that_does_not_fit_is_listed(facts):
    parameters = described(facts("layers_voc-fcn8s-atonce")["layers"])
    parameters["conv1_1[2]"] = torch.empty(64, device="meta")
    parameters["conv9[0]"] = torch.empty(64, device="meta")
    del parameters["fc6[1]"], parameters["upscore2[0]"]
    parameters["fc7[0]"] = torch.empty(4096, 4096, 3, 3, device="meta")
    parameters["conv1_2[1]"] = torch.empty(64, dtype=torch.int64, device="meta")
    parameters["upscore8[0]"] = parameters["upscore8[0]"][:, :1]
    parameters["scale_pool3[0]"][7] = 0.02
    with pytest.raises(CheckpointError) as caught:
        build(parameters)
    assert str(caught.value) == (
        "does not fit voc-fcn8s-atonce: missing: fc6[1], upscore2[0]; "
        "left over: conv1_1[2], conv9[0]; of another shape: "
        "conv1_2[1]: got [64] torch.int64, expected [64], "
        "fc7[0]: got [4096, 4096, 3, 3], expected [4096, 4096, 1, 1], "
        "upscore8[0]: got [21, 1, 16, 16], expected [21, 21, 16, 16]; "
        "not as fixed in the release: scale_pool3[0]: got 0.0001 to 0.02, expected 0.0001"
    )


def test_shapes_of_older_caffe(facts):
    """Four dimensions for everything, filled with ones from the left."""
    parameters = {
        name: blob.reshape((1,) * (4 - blob.dim()) + tuple(blob.shape))
        for name, blob in described(facts("layers_voc-fcn8s-atonce")["layers"]).items()
    }
    assert build(parameters).state_dict()["backbone.conv1_1.bias"].shape == (64,)
    shapes = facts("state_dicts")["torchvision/fcn_resnet50"]["state_dict"]
    with pytest.raises(CheckpointError, match=r"backbone.bn1.bias: got \[1, 64\], expected \[64\]"):
        build(empty(shapes | {"backbone.bn1.bias": [1, 64]}))


def test_fitted_shapes():
    place = torch.empty(6, 4, 3, 3, device="meta")
    for good in [(6, 4, 3, 3), (6, 36), (1, 1, 6, 36)]:
        assert fitted_shape(torch.empty(good), place, linear=True) == (6, 4, 3, 3)
    for bad in [(4, 6, 3, 3), (36, 6), (6, 4, 9), (6, 4, 3), (216,)]:
        assert fitted_shape(torch.empty(bad), place, linear=True) is None
    assert fitted_shape(torch.empty(6, 36), place) is None


def test_counters_that_a_file_lacks_begin_at_zero(facts):
    shapes = facts("state_dicts")["torchvision/fcn_resnet50"]["state_dict"]
    old = {name: shape for name, shape in shapes.items() if "num_batches" not in name}
    state = build(empty(old)).state_dict()
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    assert len(counters) == len(shapes) - len(old)
    assert all(state[name].item() == 0 for name in counters)


def test_half_precision_is_widened(facts):
    shapes = facts("state_dicts")["torchvision/fcn_resnet50"]["state_dict"]
    half = {n: t.half() if t.is_floating_point() else t for n, t in empty(shapes).items()}
    state = build(half).state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}
