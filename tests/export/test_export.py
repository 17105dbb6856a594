"""Files that other runtimes run, each compared with PyTorch by its own runtime."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from PIL import Image
from tests.export.conftest import KINDS

from lookwider.data.sample import Sample
from lookwider.export import export
from lookwider.weights.safe_files import sha256


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return KINDS["pspnet"]()


@pytest.fixture(scope="module")
def onnx_file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "tiny"
    return path.with_suffix(".onnx"), export(model, path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(1)
    for number in range(3):
        pixels = random.integers(0, 256, (24, 31, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


class Labelled:
    """Two images with made-up labels."""

    def __init__(self, classes):
        self.classes, self.extra_classes = classes, {}

    def __len__(self):
        return 2

    def __getitem__(self, number):
        random = np.random.default_rng(number)
        image = random.integers(0, 256, (24, 31, 3), dtype=np.uint8)
        return Sample(image, random.integers(0, 2, (24, 31), dtype=np.uint8), f"{number}")


def mean_iou(predictions, labels):
    """Return it in the plainest way, over the classes that occur."""
    found = []
    for number in np.unique([predictions, labels]):
        ours, truth = predictions == number, labels == number
        found.append((ours & truth).sum() / (ours | truth).sum())
    return np.mean(found)


def test_onnx_of_any_size(model, onnx_file):
    path, certificate = onnx_file
    assert certificate.problem is None
    assert len(certificate.comparisons) == 10
    assert certificate.worst < 1e-5
    assert {"torch", "onnx", "onnxruntime"} <= certificate.versions.keys()
    session = onnxruntime.InferenceSession(path)
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert session.get_outputs()[0].shape == ["batch", 4, "height", "width"]
    images = torch.randn(2, 3, 11, 6)
    (found,) = session.run(["logits"], {"images": images.numpy()})
    assert torch.allclose(torch.from_numpy(found), model(images), rtol=1e-4, atol=1e-4)


def test_a_file_tells_of_itself(model, onnx_file):
    path, certificate = onnx_file
    about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(about["lookwider.classes"]) == list(model.classes.names)
    assert json.loads(about["lookwider.palette"])[1] == list(model.classes.palette[1])
    numbers = json.loads(about["lookwider.normalisation"])
    assert numbers["mean"] == list(model.preprocessing.mean)
    assert (numbers["order"], numbers["in_the_graph"]) == ("bgr", False)
    assert about["lookwider.weights_sha256"] == certificate.weights_sha256
    assert json.loads(about["lookwider.certificate"])["passed"] is True


def test_the_certificate_beside_the_file(onnx_file):
    path, certificate = onnx_file
    stored = json.loads(path.with_name("tiny.onnx.certificate.json").read_text())
    assert stored == json.loads(json.dumps(certificate.to_json()))
    assert stored["files"] == {"tiny.onnx": sha256(path)}
    assert stored["comparisons"][5]["height"] == 1
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "tiny.onnx",
        "tiny.onnx.certificate.json",
    ]


def test_the_page_s_lines_give_the_model_s_labels(model, onnx_file, tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "export.md"
    lines = re.search(r"```python\n(import json.*?)```", page.read_text(), re.DOTALL)[1]
    pixels = np.random.default_rng(0).integers(0, 256, (21, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "street.jpg")
    shutil.copy(onnx_file[0], tmp_path / "a.onnx")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(lines, found)
    assert (found["labels"] == model.predict("street.jpg").labels).mean() > 0.99


def test_int8_with_the_measured_loss(model, pictures, tmp_path):
    data = Labelled(model.classes)
    certificate = export(
        model,
        tmp_path / "int8",
        dtype="int8",
        dynamic=False,
        size=(24, 31),
        calibration=pictures,
        evaluate=data,
    )
    kinds = {node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert "BatchNormalization" not in kinds
    assert 1e-4 < certificate.worst < 0.2
    session = onnxruntime.InferenceSession(tmp_path / "int8.onnx")
    images = [model.preprocess(data[i].image).numpy() for i in range(2)]
    truth = np.stack([data[i].label for i in range(2)])
    ours = np.concatenate([model(torch.from_numpy(image)).argmax(1) for image in images])
    theirs = np.concatenate([session.run(None, {"images": i})[0].argmax(1) for i in images])
    assert certificate.loss.images == 2
    assert certificate.loss.pytorch == pytest.approx(mean_iou(ours, truth))
    assert certificate.loss.exported == pytest.approx(mean_iou(theirs, truth))


def test_openvino_of_raw_images_to_labels(model, tmp_path):
    certificate = export(
        model, tmp_path / "net.xml", format="openvino", labels=True, preprocess=True
    )
    assert certificate.worst is None
    assert certificate.agreement > 0.999
    assert set(certificate.files) == {"net.xml", "net.bin"}
    network = openvino.Core().read_model(tmp_path / "net.xml")
    assert json.loads(network.get_rt_info(["lookwider", "classes"]).astype(str)) == list(
        model.classes.names
    )
    raw = np.random.default_rng(0).integers(0, 256, (1, 3, 13, 10), dtype=np.uint8)
    found = openvino.compile_model(network, "CPU")([raw])[0]
    wanted = model(model.preprocessing.normalise(torch.from_numpy(raw))).argmax(1)
    assert found.dtype == np.uint8
    assert (found == wanted.numpy()).mean() > 0.99


def test_a_program_of_one_size_in_bfloat16(model, tmp_path):
    path = tmp_path / "net.pt2"
    certificate = export(
        model, path, format="torch", dtype="bfloat16", dynamic=False, size=(20, 26)
    )
    assert [(c.batch, c.height, c.width) for c in certificate.comparisons] == [(1, 20, 26)] * 3
    assert 1e-5 < certificate.worst < 0.1
    extra = {"lookwider.json": ""}
    program = torch.export.load(path, extra_files=extra)
    assert json.loads(json.loads(extra["lookwider.json"])["lookwider.classes"])[0] == "class 0"
    assert {p.dtype for p in program.state_dict.values() if p.is_floating_point()} >= {
        torch.bfloat16
    }


def test_a_program_guards_the_least_size(model, tmp_path):
    certificate = export(model, tmp_path / "net", format="torch")
    assert certificate.problem is None
    assert certificate.notes == ("torch.export guards the size: each side has at least 5 pixels",)
    assert min(c.height for c in certificate.comparisons) >= 5


def test_a_program_of_crops_that_cut_nothing(tiny, tmp_path):
    certificate = export(tiny("fcn paper"), tmp_path / "net", format="torch", labels=True)
    assert certificate.problem is None
    assert {c.height % 4 for c in certificate.comparisons} == {0, 1, 2}


def test_torchscript_of_any_size(tiny, tmp_path):
    certificate = export(tiny("fcn padded"), tmp_path / "net", format="torchscript")
    assert certificate.problem is None
    assert len(certificate.comparisons) == 10
    assert "deprecated" in certificate.notes[0]


@pytest.mark.parametrize("factor", [0.0, 1e-6])
def test_short_features_keep_the_eps_of_their_length(tmp_path, factor):
    torch.manual_seed(0)
    network = KINDS["parsenet"]()
    for parameter in network.backbone.conv2.parameters():
        parameter.data *= factor
    certificate = export(network, tmp_path / "short")
    assert certificate.problem is None
    assert certificate.worst < 1e-5
