"""PyTorch's files for tests: written in both forms, compared, refused."""

import pytest
import torch
from torch import nn

from lookwider.errors import CheckpointError
from lookwider.weights.formats import read_pth

FORMS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 2, 4))


def saved(tmp_path, content: object, form: str = "zip", name: str = "weights.pth"):
    path = tmp_path / name
    torch.save(content, path, **FORMS[form])
    return path


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
        assert not found[name].requires_grad
        assert type(found[name]) is torch.Tensor


def refuses(path, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        read_pth(path)
    assert str(caught.value).startswith(f"{path}: ")
