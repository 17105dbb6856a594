"""Layers of Caffe's files, written by hand for tests."""

from tests.weights.caffe_writer import tag, text, varint

from lookwider.weights.formats import CaffeNet, read_caffemodel


def layer(*blobs: bytes) -> bytes:
    """Return the bytes of a net of one layer from those of its blobs."""
    content = text(1, "conv") + b"".join(tag(7, 2) + varint(len(b)) + b for b in blobs)
    return tag(100, 2) + varint(len(content)) + content


def shape(*dims: int) -> bytes:
    sizes = b"".join(map(varint, dims))
    return tag(7, 2) + varint(len(sizes) + 2) + tag(1, 2) + varint(len(sizes)) + sizes


def floats(count: int) -> bytes:
    return tag(5, 2) + varint(4 * count) + bytes(4 * count)


def read(tmp_path, data: bytes) -> CaffeNet:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    return read_caffemodel(path)
