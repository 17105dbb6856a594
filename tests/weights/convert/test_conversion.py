"""Files of other projects, converted on the command line, give the released networks' values."""

from __future__ import annotations

import json

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from tests.released import hash_blob, hash_image
from tests.weights.caffe_writer import write_caffemodel
from tests.weights.convert.layer_lists import bilinear, hashed, parameter_layers
from typer.testing import CliRunner

from lookwider.cli import app
from lookwider.errors import CheckpointError
from lookwider.models import create_model
from lookwider.weights import load
from lookwider.weights.convert import convert
from lookwider.weights.convert.mapping import build_model
from lookwider.weights.convert.nets import NETS

PROBED = {
    "voc-fcn32s": "voc-fcn32s",
    "voc-fcn16s": "voc-fcn16s",
    "voc-fcn8s": "voc-fcn8s",
    "voc-fcn8s-atonce": "voc-fcn8s-atonce",
    "voc-fcn-alexnet": "voc-fcn-alexnet",
    "siftflow-fcn16s": "siftflow-fcn16s",
    "pascalcontext-fcn8s": "pascalcontext-fcn8s",
    "parsenet-VOC2012ext(21 classes)": "parsenet-voc2012ext",
    "pspnet50_ADE20K_473": "pspnet50_ADE20K",
    "pspnet101_VOC2012_473": "pspnet101_VOC2012",
}
"""Networks with probes -> what they are recognised as."""

PARSENET = "parsenet-VOC2012ext(21 classes)"
PARSENET_LAYERS = "parsenet_VGG_VOC2012ext_context60"


def layers_of(facts, net):
    """Return a network's layers; ParseNet's list is of the 60 classes, its probes are of 21."""
    layers = facts(f"layers_{PARSENET_LAYERS if net == PARSENET else net}")["layers"]
    if net == PARSENET:
        layers = json.loads(json.dumps(layers).replace("[60,", "[21,").replace("[60]", "[21]"))
    return layers


def write(facts, net, path, **options):
    figures = facts("forward_probes")["nets"][net]
    return write_caffemodel(
        path, net, hashed(layers_of(facts, net), figures["stream_order"]), **options
    )


def on_command_line(file, folder, *options):
    result = CliRunner().invoke(app, ["convert", str(file), "--out", str(folder), *options])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def check_probes(model, figures, heads=None):
    """Compare a model's logits with the released network's."""
    heads = heads or dict(zip(figures["probes"], model.heads, strict=True))
    with torch.no_grad():
        scores = model.scores(hash_image(figures["input"][0]))
    for blob, probes in figures["probes"].items():
        logits, largest = scores[heads[blob]].logits(), figures["layers"][blob]["absmax"]
        assert list(logits.shape) == figures["layers"][blob]["shape"]
        assert logits.abs().max().item() == pytest.approx(largest, rel=1e-5)
        for n, k, i, j, value in probes:
            assert logits[n, k, i, j].item() == pytest.approx(value, abs=1e-5 * largest)


@pytest.mark.slow
@pytest.mark.parametrize("net", PROBED)
def test_a_caffemodel_gives_the_released_values(facts, tmp_path, net):
    file = write(facts, net, tmp_path / "net.caffemodel")
    printed = on_command_line(file, tmp_path / "out", "--json")
    file.unlink()
    result = json.loads(printed)
    assert result["net"] == PROBED[net]
    model = load(tmp_path / "out")
    (tmp_path / "out" / "model.safetensors").unlink()
    stored = (
        torch.Size(shape).numel()
        for _, _, shapes in parameter_layers(layers_of(facts, net))
        for shape in shapes
    )
    assert result["parameters"] == sum(stored)
    assert model.classes == NETS[PROBED[net]].classes
    check_probes(model, facts("forward_probes")["nets"][net])


@pytest.mark.parametrize("options", [{"double": True}, {"legacy_shape": True}])
def test_older_caffemodels(facts, tmp_path, options):
    """As other versions of Caffe wrote them; ParseNet, the smallest."""
    file = write(facts, PARSENET, tmp_path / "net", **options)
    convert(file, tmp_path / "out")
    check_probes(load(tmp_path / "out"), facts("forward_probes")["nets"][PARSENET])


def test_nothing_is_written_when_anything_is_wrong(facts, tmp_path):
    figures = facts("forward_probes")["nets"][PARSENET]
    layers = [
        (name + "x" if name == "fc7" else name, kind, arrays)
        for name, kind, arrays in hashed(layers_of(facts, PARSENET), figures["stream_order"])
    ]
    file = write_caffemodel(tmp_path / "net.caffemodel", "parsenet", layers)
    message = r"net.caffemodel: does not fit parsenet-voc2012ext: missing: fc7\[0\], fc7\[1\]; left"
    with pytest.raises(CheckpointError, match=message):
        on_command_line(file, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.caffemodel"]
    layers = [(name.rstrip("x"), kind, arrays) for name, kind, arrays in layers]
    layers[0][2][0] = layers[0][2][0] * float("nan")  # not in place: the values are cached
    write_caffemodel(file, "parsenet", layers)
    with pytest.raises(CheckpointError, match="output 'features' is not finite"):
        convert(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(CheckpointError, match=r"holds notes\.txt, which saving a checkpoint here"):
        convert(tmp_path / "missing.caffemodel", tmp_path / "other")


def test_two_layers_of_one_name(tmp_path):
    layer = ("conv1_1", "Convolution", [torch.zeros(1).numpy()])
    file = write_caffemodel(tmp_path / "net", "net", [layer, layer])
    with pytest.raises(CheckpointError, match="two layers are called 'conv1_1', expected one"):
        convert(file, tmp_path / "out")


def wkentaro_state(facts, net):
    """The FCN release's hash weights under wkentaro's names."""
    figures = facts("forward_probes")["nets"][net]
    streams = {
        entry.partition(":")[2]: int(entry.partition(":")[0]) for entry in figures["stream_order"]
    }
    state = {}
    for name, shape in facts("state_dicts")["wkentaro/FCN8s"]["state_dict"].items():
        layer, kind = name.split(".")
        blob = f"{layer}[{0 if kind == 'weight' else 1}]"
        shape = tuple(shape)
        state[name] = (
            bilinear(shape) if "upscore" in name else hash_blob(blob, shape, streams[blob])
        )
    return state


@pytest.mark.slow
def test_wkentaros_fcn8s_gives_the_released_values(facts, tmp_path):
    """Both FCN-8s of one file, which only a name tells apart."""
    nets = facts("forward_probes")["nets"]
    state = wkentaro_state(facts, "voc-fcn8s")
    torch.save({"epoch": 3, "model_state_dict": state}, tmp_path / "fcn8s.pth.tar")
    on_command_line(tmp_path / "fcn8s.pth.tar", tmp_path / "out", "--net", "wkentaro-fcn8s")
    check_probes(load(tmp_path / "out"), nets["voc-fcn8s"])
    assert nets["voc-fcn8s"]["stream_order"] == nets["voc-fcn8s-atonce"]["stream_order"]
    check_probes(build_model(NETS["wkentaro-fcn8s-atonce"], state), nets["voc-fcn8s-atonce"])


def semseg_state(facts):
    """The hash weights of the Caffe release under semseg's names, and an auxiliary head."""
    stream_order = facts("forward_probes")["nets"]["pspnet50_ADE20K_473"]["stream_order"]
    streams = {entry.partition(":")[2]: int(entry.partition(":")[0]) for entry in stream_order}
    stem = {
        "0": "1_3x3_s2",
        "1": "1_3x3_s2/bn",
        "3": "2_3x3",
        "4": "2_3x3/bn",
        "6": "3_3x3",
        "7": "3_3x3/bn",
    }
    parts = {
        "conv1": "1x1_reduce",
        "conv2": "3x3",
        "conv3": "1x1_increase",
        "downsample.0": "1x1_proj",
    }
    parts |= {
        "bn1": "1x1_reduce/bn",
        "bn2": "3x3/bn",
        "bn3": "1x1_increase/bn",
        "downsample.1": "1x1_proj/bn",
    }
    kinds = ["weight", "bias", "running_mean", "running_var"]

    def caffe(layer):
        group, _, rest = layer.partition(".")
        if group == "layer0":
            return f"conv1_{stem[rest]}"
        if group.startswith("layer"):
            block, _, part = rest.partition(".")
            return f"conv{int(group[5:]) + 1}_{int(block) + 1}_{parts[part]}"
        if group == "ppm":
            _, branch, part = rest.split(".")
            return f"conv5_3_pool{(1, 2, 3, 6)[int(branch)]}_conv" + {"1": "", "2": "/bn"}[part]
        return {"cls.0": "conv5_4", "cls.1": "conv5_4/bn", "cls.4": "conv6"}.get(layer)

    state = {}
    shapes = facts("state_dicts")["semseg/PSPNet50_150_train(with aux)"]["state_dict"]
    for name, shape in shapes.items():
        layer, _, kind = name.rpartition(".")
        if kind == "num_batches_tracked":
            state[name] = torch.tensor(7)
        elif layer.startswith("aux"):
            state[name] = torch.rand(shape)
        else:
            blob = f"{caffe(layer)}[{kinds.index(kind)}]"
            state[name] = hash_blob(blob, tuple(shape), streams[blob])
    trunk, *regions = state["cls.0.weight"].split([2048, 512, 512, 512, 512], dim=1)
    state["cls.0.weight"] = torch.cat([trunk, *regions[::-1]], dim=1)  # x,6,3,2,1 -> x,1,2,3,6
    return state


def test_semsegs_pspnet_gives_the_released_values(facts, tmp_path):
    """A parallel training's checkpoint; the probes are of strides on the 1x1 convolutions."""
    state = semseg_state(facts)
    file = tmp_path / "train_epoch_100.pth"
    torch.save({"epoch": 100, "state_dict": {f"module.{n}": t for n, t in state.items()}}, file)
    assert "semseg-pspnet50-ade20k: 150 classes" in on_command_line(file, tmp_path / "out")
    converted = load(tmp_path / "out")
    assert torch.equal(converted.state_dict()["heads.aux.score.bias"], state["aux.4.bias"])
    assert converted.architecture["stride_on"] == "3x3"
    with torch.device("meta"):
        model = create_model(
            **converted.architecture | {"stride_on": "1x1"}, classes=converted.classes
        )
    model.load_state_dict(converted.state_dict(), assign=True)
    model.eval()
    for size, figures in facts("semseg_adaptive_probes")["cases"].items():
        height, width = map(int, size.split("x"))
        with torch.no_grad():
            logits = model(hash_image([1, 3, height, width]))
        assert list(logits.shape) == figures["shape"]
        largest = logits.abs().max().item()
        assert logits.mean().item() == pytest.approx(figures["mean"], rel=1e-4)
        assert logits.std().item() == pytest.approx(figures["std"], rel=1e-4)
        for n, k, i, j, value in figures["probes"]:
            assert logits[n, k, i, j].item() == pytest.approx(value, abs=1e-5 * largest)


@pytest.mark.parametrize("aux", [True, False])
def test_torchvisions_fcn_gives_torchvisions_values(tmp_path, aux):
    torch.manual_seed(0)
    theirs = torchvision.models.segmentation.fcn_resnet50(
        weights=None, weights_backbone=None, aux_loss=aux, num_classes=21
    ).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    file = tmp_path / "fcn.safetensors"
    save_file(theirs.state_dict(), file)
    told = []
    result = convert(file, tmp_path / "out", tell=told.append)
    assert [text.split()[0] for text in told] == ["reading", "checking", "hashing", "computing"]
    assert result.net == NETS["torchvision-fcn_resnet50"]
    ours = load(tmp_path / "out")
    assert ("aux" in ours.heads) == aux
    for size in [(64, 80), (61, 77)]:
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            expected = theirs(images)["out"]
            assert expected.std() > 0.01
            error = (ours(images) - expected).abs().max() / expected.abs().max()
        assert error < 1e-5
