"""Weight files are told by their content, and what is none is told for what it is."""

import gzip
import io
import os
import re
import tarfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.weights.caffe_writer import write_caffemodel

from lookwider.errors import CheckpointError
from lookwider.weights.formats import (
    CaffeNet,
    read_caffemodel,
    read_pth,
    read_safetensors,
    read_weights,
)

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}
READERS = (read_weights, read_caffemodel, read_pth, read_safetensors)


@pytest.fixture
def files(tmp_path):
    """Return one file of each kind, all with the same name ending."""
    paths = {kind: tmp_path / f"{kind}.weights" for kind in ("caffe", "zip", "legacy", "safe")}
    write_caffemodel(paths["caffe"], "net", [("fc", "InnerProduct", [np.ones((2, 3))])])
    torch.save(STATE, paths["zip"])
    torch.save(STATE, paths["legacy"], _use_new_zipfile_serialization=False)
    save_file(STATE, paths["safe"], metadata={"format": "pt"})
    return paths


def test_read_weights_goes_by_content(files):
    assert isinstance(read_weights(files["caffe"]), CaffeNet)
    for kind in ("zip", "legacy", "safe"):
        found = read_weights(str(files[kind]))
        assert found.keys() == STATE.keys()
        assert all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(
    ("reader", "kind", "message"),
    [
        (read_caffemodel, "zip", "is a PyTorch file, expected a caffemodel"),
        (read_caffemodel, "safe", "is a safetensors file, expected a caffemodel"),
        (read_pth, "safe", "is a safetensors file, expected a PyTorch file"),
        (read_pth, "caffe", "is of no known format, or a caffemodel, expected a PyTorch file"),
        (read_safetensors, "legacy", "is a PyTorch file of before 1.6, expected a safetensors"),
        (read_safetensors, "caffe", "no known format, or a caffemodel, expected a safetensors"),
    ],
)
def test_the_wrong_reader(files, reader, kind, message):
    with pytest.raises(CheckpointError, match=message):
        reader(files[kind])


def tar(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


FOREIGN = {
    "empty": (b"", "is empty; download it again"),
    "web page": (b"\n <!DOCTYPE html><html><head>Sign in", "is a web page, .* with a browser"),
    "older web page": (b"\xef\xbb\xbf<HTML>\xff", "is a web page"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
        "is a Git LFS pointer, .* git lfs pull",
    ),
    "prototxt": (b'name: "FCN"\nlayer {\n', "is text, expected a weight file; a .prototxt"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(9), "is an HDF5 file, expected a caffemodel, PyTorch"),
    "gzip": (gzip.compress(b"a"), "is compressed with gzip; unpack it first"),
    "tar": (
        tar("storages"),
        "is a tar archive; unpack it first, or, .* PyTorch 0.1, save it again",
    ),
    "pickle": (
        b"\x80\x04K\x01.",
        "is a Python pickle that torch.save did not write; nothing in it",
    ),
}


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("what", FOREIGN)
def test_files_that_are_no_weights(tmp_path, reader, what):
    data, message = FOREIGN[what]
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{re.escape(str(path))}: {message}"):
        reader(path)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_paths_that_are_no_files(tmp_path, reader):
    with pytest.raises(CheckpointError, match=r"weights\.pth: no such file"):
        reader(tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="is a folder, expected a weight file"):
        reader(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="is a device or a pipe, expected a regular file"):
        reader(tmp_path / "pipe")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"a")
    monkeypatch.setattr(type(path), "open", refuse_to_open)
    with pytest.raises(CheckpointError, match="cannot be read: Permission denied"):
        read_weights(path)


def refuse_to_open(*arguments: object) -> None:
    raise PermissionError(13, "Permission denied")
