"""Which form a tensor on a GPU takes, without one: only its device and type are looked at."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lookwider.kernels import switches
from lookwider.kernels.switches import VARIABLE, without
from lookwider.kernels.upsampled import _form


@pytest.fixture(autouse=True)
def usable(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(switches, "_builds_launchers", lambda: True)


def scores(dtype=torch.float32):
    with FakeTensorMode():
        return torch.empty(1, 2, 3, 3, dtype=dtype, device="cuda")


@pytest.mark.parametrize("path", ["labels", "loss"])
def test_the_kernels_are_used_unless_they_are_missing_or_switched_off(path, monkeypatch):
    assert _form(path, scores()) == "gpu"
    assert _form(path, scores(torch.bfloat16)) == "gpu"
    assert _form(path, scores(torch.float64)) == "plain"
    for switch in ("triton", path):
        with without(switch):
            assert _form(path, scores()) == "plain"
    monkeypatch.setattr(switches, "_installed", lambda package: package != "triton")
    assert _form(path, scores()) == "plain"
