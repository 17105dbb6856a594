"""What cannot be exported, and that nothing is left behind then."""

from __future__ import annotations

import errno
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.export.conftest import tiny_fcn
from torch import nn

from lookwider.classes import Classes
from lookwider.errors import ConfigError, DataError, LookwiderError, MissingExtraError
from lookwider.export import ParityError, export, parity, run
from lookwider.export.certificate import TOLERANCES, Certificate, Comparison
from lookwider.export.formats import Options, named_file
from lookwider.export.openvino_file import openvino_file
from lookwider.export.parity import compared
from lookwider.preprocessing import Preprocessing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "onyx"}, "unknown format 'onyx'; did you mean 'onnx'"),
        ({"dtype": "int16"}, "unknown dtype 'int16'; did you mean 'int8'"),
        ({"dtype": "bfloat16"}, "ONNX Runtime has no bfloat16 convolution for CPUs"),
        ({"format": "torch", "dtype": "int8"}, "no part of a torch.export program"),
        ({"format": "torchscript", "dtype": "int8"}, "no longer develops TorchScript's int8"),
        ({"dtype": "int8"}, "int8, and only int8, needs a folder of images"),
        ({"calibration": "photos"}, "int8, and only int8, needs a folder of images"),
        ({"size": (8, 8)}, "got size .* of a dynamic export"),
        ({"dynamic": False}, "needs a size"),
        ({"dynamic": False, "size": (0, 8)}, "expected a positive height and width"),
    ],
)
def test_options_that_do_not_go_together(tiny, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        export(tiny("pspnet"), tmp_path / "net", **options)
    assert not list(tmp_path.iterdir())


def test_a_missing_extra(tiny, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    absent = "onnxruntime"
    monkeypatch.setattr(importlib.util, "find_spec", lambda m: None if m == absent else found(m))
    with pytest.raises(MissingExtraError, match=r"pip install 'lookwider\[onnx\]'"):
        export(tiny("pspnet"), tmp_path / "net")


def test_images_that_are_no_bytes(tiny, tmp_path):
    model = tiny("pspnet")
    model.backbone.preprocessing = Preprocessing((0.5,) * 3, (0.5,) * 3, 65535.0)
    with pytest.raises(ConfigError, match="values up to 65535, which are no bytes"):
        export(model, tmp_path / "net", preprocess=True)


def test_a_suffix_of_another_format():
    with pytest.raises(ConfigError, match=r"a file of format torch ends in \.pt2"):
        named_file("net.onnx", "torch")


def test_labelled_images_of_other_classes(tiny, tmp_path):
    class Other:
        classes, extra_classes = Classes.numbered(2), {}

    with pytest.raises(DataError, match="the data's classes are not the model's"):
        export(tiny("pspnet"), tmp_path / "net", format="torch", evaluate=Other())


def test_a_file_that_is_there_stays_unless_forced(tiny, tmp_path):
    path = tmp_path / "net.pt"
    path.write_text("precious")
    options = {"format": "torchscript", "dynamic": False, "size": (8, 8)}
    with pytest.raises(ConfigError, match=r"net.pt exists; use another name, or force"):
        export(tiny("fcn fixed"), path, **options)
    assert path.read_text() == "precious"
    export(tiny("fcn fixed"), path, **options, force=True)
    assert path.stat().st_size > 100


class Wrong(nn.Module):
    """A network that gives something else."""

    def forward(self, images):
        return images[:, :1].repeat(1, 4, 1, 1) + 1


def test_nothing_is_written_where_it_differs(tiny, tmp_path, monkeypatch):
    made = run.exportable
    monkeypatch.setattr(run, "exportable", lambda *given: _wrong(made(*given)))
    with pytest.raises(ParityError, match="nothing was written: TorchScript") as caught:
        export(tiny("fcn fixed"), tmp_path / "net", format="torchscript")
    assert caught.value.certificate.worst > 0.1
    assert not list(tmp_path.iterdir())


def _wrong(network):
    wrong = Wrong()
    wrong.in_channels = network.in_channels
    return wrong


def test_a_full_disk_leaves_nothing(tiny, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        export(tiny("fcn fixed"), tmp_path / "net", format="torch", dynamic=False, size=(8, 8))
    assert not list(tmp_path.iterdir())


def test_a_trunk_that_decides_by_the_size(tiny, tmp_path):
    model = tiny("pspnet without bins")
    plain = model.backbone.forward

    def deciding(images):
        width = int(images.shape[-1])  # a number from now on
        return plain(images[..., :width])

    model.backbone.forward = deciding
    with pytest.raises(LookwiderError, match=r"cannot trace this network for torch.*--fixed"):
        export(model, tmp_path / "net", format="torch")
    assert not list(tmp_path.iterdir())


def test_a_runtime_that_fails(tiny):
    def failing(images):
        raise RuntimeError("no such kernel")

    images = np.zeros((2, 3, 5, 7), np.uint8)
    with pytest.raises(LookwiderError, match=r"fails on 2 x 5x7: no such kernel; .*--fixed"):
        list(parity.compare(tiny("pspnet"), failing, Options(), [images], 1e-4))


def test_sizes_that_the_network_itself_does_not_take(tmp_path):
    network = tiny_fcn(0, upsampling="interpolation")  # a window of 3 pixels without padding
    made = export(network, tmp_path / "net")
    assert min(min(found.height, found.width) for found in made.comparisons) == 3
    assert "the network takes sides of 3 pixels and more" in made.notes
    small = [np.zeros((1, 3, 2, 9), np.uint8)]
    with pytest.raises(LookwiderError, match=r"the network itself fails on .* 2x9: .*--fixed"):
        list(parity.compare(network, lambda images: images, Options(), small, 1e-4))


def test_a_cpu_without_bfloat16(tiny, monkeypatch):
    class Core:
        def get_property(self, device, name):
            return ["FP32", "INT8"]

    monkeypatch.setattr("openvino.Core", Core)
    with pytest.raises(ConfigError, match="no bfloat16 units in this CPU, only FP32, INT8"):
        openvino_file(tiny("pspnet"), Options("openvino", dtype="bfloat16"), [])


def certificate(*comparisons):
    return Certificate(Options(), "a judge", comparisons, TOLERANCES["float32"], "", {})


def test_what_a_certificate_refuses():
    good = Comparison(1, 9, 9, 1e-5, 1e-6, 1000, 1, 1)
    assert certificate(good).problem is None
    far = Comparison(1, 9, 9, 1e-3, 1e-3, 1000, 0, 0)
    assert "a logit differs by 1.0e-03" in certificate(good, far).problem
    lost = Comparison(1, 9, 9, float("nan"), float("nan"), 1000, 0, 0)
    assert "a logit differs by nan" in certificate(lost).problem
    other = Comparison(1, 9, 9, None, None, 1000, 3, 1)
    assert "2 pixels have another label" in certificate(other).problem
    tied = Comparison(1, 9, 9, None, None, 100, 50, 50)
    assert "50.0 % of the pixels have the same label" in certificate(tied).problem


def test_near_ties_are_told_from_other_labels():
    wanted = torch.tensor([[5.0, 1.0, 3.0], [4.9999, 9.0, 8.0]]).view(1, 2, 1, 3)
    found = compared(wanted, torch.tensor([[[1, 1, 0]]], dtype=torch.uint8), 1e-4)
    assert (found.pixels, found.different, found.near_ties) == (3, 2, 1)


def test_crops_repeat_what_is_smaller():
    images = [np.arange(6).reshape(1, 1, 2, 3), np.arange(6).reshape(1, 1, 2, 3) + 10]
    (batch,) = parity.crops(images, [(2, 3, 2)])
    assert batch[:, 0].tolist() == [[[0, 1], [3, 4], [0, 1]], [[10, 11], [13, 14], [10, 11]]]
