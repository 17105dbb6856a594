"""Caffe's files: every way to write them reads the same."""

import numpy as np
import pytest
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tests.weights.caffe_writer import tag, text, varint, write_caffemodel
from tests.weights.formats.caffe_layers import floats, layer, read, shape

from lookwider.weights.formats import read_caffemodel
from lookwider.weights.formats.caffemodel import V1_TYPES

DRAW = np.random.default_rng(0)
CONV = (DRAW.standard_normal((4, 3, 2, 5)), DRAW.standard_normal(4))
LAYERS = [
    ("data", "Data", []),
    ("conv1", "Convolution", CONV),
    ("relu1", "ReLU", []),
    ("up", "Deconvolution", [DRAW.standard_normal((2, 1, 4, 4))]),
]


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("legacy_shape", [False, True])
def test_every_way_to_write_reads_the_same(tmp_path, v1, double, packed, legacy_shape):
    path = tmp_path / "net.caffemodel"
    write_caffemodel(
        path, "net", LAYERS, v1=v1, double=double, packed=packed, legacy_shape=legacy_shape
    )
    net = read_caffemodel(path)
    assert net.name == "net"
    assert [(x.name, x.type) for x in net.layers] == [(x[0], x[1]) for x in LAYERS]
    for found, (_, _, arrays) in zip(net.layers, LAYERS, strict=True):
        assert len(found.blobs) == len(arrays)
        for tensor, array in zip(found.blobs, arrays, strict=True):
            four = (1,) * (4 - array.ndim) + array.shape
            assert tensor.dtype == torch.float32
            assert tensor.shape == (four if legacy_shape else array.shape)
            assert np.array_equal(tensor.numpy().ravel(), array.astype(np.float32).ravel())


FIELD = descriptor_pb2.FieldDescriptorProto
REPEATED, OPTIONAL = FIELD.LABEL_REPEATED, FIELD.LABEL_OPTIONAL
MESSAGES = {
    "Shape": [("dim", 1, FIELD.TYPE_INT64, REPEATED)],
    "Blob": [
        *((n, i, FIELD.TYPE_INT32, OPTIONAL) for i, n in enumerate("nchw", start=1)),
        ("data", 5, FIELD.TYPE_FLOAT, REPEATED),
        ("diff", 6, FIELD.TYPE_FLOAT, REPEATED),
        ("shape", 7, "Shape", OPTIONAL),
        ("double_data", 8, FIELD.TYPE_DOUBLE, REPEATED),
    ],
    "Param": [("lr_mult", 3, FIELD.TYPE_FLOAT, OPTIONAL)],
    "Layer": [
        ("name", 1, FIELD.TYPE_STRING, OPTIONAL),
        ("type", 2, FIELD.TYPE_STRING, OPTIONAL),
        ("bottom", 3, FIELD.TYPE_STRING, REPEATED),
        ("loss_weight", 5, FIELD.TYPE_FLOAT, REPEATED),
        ("param", 6, "Param", REPEATED),
        ("blobs", 7, "Blob", REPEATED),
        ("phase", 10, FIELD.TYPE_INT32, OPTIONAL),
    ],
    "V1Layer": [
        ("bottom", 2, FIELD.TYPE_STRING, REPEATED),
        ("name", 4, FIELD.TYPE_STRING, OPTIONAL),
        ("type", 5, FIELD.TYPE_INT32, OPTIONAL),
        ("blobs", 6, "Blob", REPEATED),
        ("blobs_lr", 7, FIELD.TYPE_FLOAT, REPEATED),
    ],
    "Net": [
        ("name", 1, FIELD.TYPE_STRING, OPTIONAL),
        ("layers", 2, "V1Layer", REPEATED),
        ("input", 3, FIELD.TYPE_STRING, REPEATED),
        ("input_dim", 4, FIELD.TYPE_INT32, REPEATED),
        ("force_backward", 5, FIELD.TYPE_BOOL, OPTIONAL),
        ("layer", 100, "Layer", REPEATED),
    ],
}
PACKED = {("Shape", "dim"), ("Blob", "data"), ("Blob", "diff"), ("Blob", "double_data")}


@pytest.fixture(scope="module")
def net_class():
    """Return Google's class of a network, from the definition above."""
    file = descriptor_pb2.FileDescriptorProto(name="net.proto", package="t", syntax="proto2")
    for message, fields in MESSAGES.items():
        definition = file.message_type.add(name=message)
        for name, number, kind, label in fields:
            entry = definition.field.add(name=name, number=number, label=label)
            if isinstance(kind, str):
                entry.type, entry.type_name = FIELD.TYPE_MESSAGE, f".t.{kind}"
            else:
                entry.type = kind
            if (message, name) in PACKED:
                entry.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Net"))


def test_reads_what_googles_library_writes(tmp_path, net_class):
    net = net_class(name="VGG_net", input=["data"], input_dim=[1, 3, 8, 8], force_backward=True)
    new = net.layer.add(name="conv", type="Convolution", bottom=["data"], loss_weight=[0.5])
    new.param.add(lr_mult=2)
    new.phase = -1  # ten bytes on the wire
    weight = new.blobs.add(data=CONV[0].ravel(), diff=[1.0, 2.0])
    weight.shape.dim.extend(CONV[0].shape)
    new.blobs.add(double_data=CONV[1]).shape.dim.append(4)
    old = net.layers.add(name="fc", type=14, bottom=["conv"], blobs_lr=[1, 2])
    old.blobs.add(n=1, c=1, h=2, w=3, data=range(6))
    found = read(tmp_path, net.SerializeToString())
    assert found.name == "VGG_net"
    by_name = {x.name: x for x in found.layers}
    assert {x.name: x.type for x in found.layers} == {"conv": "Convolution", "fc": "InnerProduct"}
    assert np.array_equal(by_name["conv"].blobs[0], CONV[0].astype(np.float32))
    assert np.array_equal(by_name["conv"].blobs[1], CONV[1].astype(np.float32))
    assert torch.equal(by_name["fc"].blobs[0], torch.arange(6.0).reshape(1, 1, 2, 3))


@pytest.mark.parametrize("v1", [False, True])
def test_the_tests_writer_writes_what_googles_library_reads(tmp_path, net_class, v1):
    data = write_caffemodel(tmp_path / "n", "net", LAYERS, v1=v1).read_bytes()
    net = net_class.FromString(data)
    layers = net.layers if v1 else net.layer
    assert [x.name for x in layers] == [x[0] for x in LAYERS]
    assert tuple(layers[1].blobs[0].shape.dim) == CONV[0].shape
    assert np.allclose(layers[1].blobs[0].data, CONV[0].ravel())


def test_bytes_by_hand(tmp_path):
    value = "0000c03f"  # 1.5
    blob = f"3a03 0a0101 2a04 {value}"  # a shape of one dimension, 1; 4 bytes of data
    layer = f"0a0163 120152 3a0b {blob}"  # named "c", of type "R", a blob of 11 bytes
    data = bytes.fromhex(f"0a016e a20613 {layer}")  # named "n", a layer of 19 bytes
    net = read(tmp_path, data)
    assert (net.name, net.layers[0].name, net.layers[0].type) == ("n", "c", "R")
    assert torch.equal(net.layers[0].blobs[0], torch.tensor([1.5]))


def test_names_of_the_older_generation():
    numbers = {3: "Concat", 4: "Convolution", 5: "Data", 6: "Dropout", 14: "InnerProduct"}
    numbers |= {15: "LRN", 17: "Pooling", 18: "ReLU", 21: "SoftmaxWithLoss", 22: "Split"}
    numbers |= {25: "Eltwise", 30: "ArgMax", 35: "AbsVal", 36: "Silence", 39: "Deconvolution"}
    assert {number: V1_TYPES[number] for number in numbers} == numbers


def test_an_unknown_type_of_the_older_generation_keeps_its_number(tmp_path):
    content = text(4, "x") + tag(5, 0) + varint(77)
    net = read(tmp_path, tag(2, 2) + varint(len(content)) + content)
    assert net.layers[0].type == "V1 type 77"


def test_values_in_several_stretches_keep_their_order(tmp_path):
    def value(x):
        return np.float32(x).tobytes()

    data = shape(4) + tag(5, 5) + value(1) + tag(5, 2) + varint(8) + value(2) + value(3)
    data += tag(5, 2) + varint(0) + tag(5, 5) + value(4)
    assert read(tmp_path, layer(data)).layers[0].blobs[0].tolist() == [1, 2, 3, 4]


def test_a_shape_in_several_stretches(tmp_path):
    loose = tag(7, 2) + varint(4) + (tag(1, 0) + varint(2)) * 2
    found = read(tmp_path, layer(loose + shape(3) + floats(12))).layers[0].blobs[0]
    assert found.shape == (2, 2, 3)


def test_a_blob_without_a_shape_is_one_value(tmp_path):
    assert read(tmp_path, layer(floats(1))).layers[0].blobs[0].shape == ()


def test_tensors_outlive_the_file(tmp_path):
    path = write_caffemodel(tmp_path / "net", "net", LAYERS)
    net = read_caffemodel(path)
    path.write_bytes(b"")
    assert torch.isfinite(net.layers[1].blobs[0]).all()
