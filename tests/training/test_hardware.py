import pytest
import torch
from torch import nn

from lookwider.training.hardware import (
    choose_precision,
    memory_layout,
    peak_memory,
)
from lookwider.training.recipes import configure


def test_precision_by_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configure("fcn32s", {"accelerator": "cpu"})
    for amx, expected in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda amx=amx: amx)
        assert choose_precision(config) == expected
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: True)
    assert choose_precision(configure("fcn32s", {"accelerator": "gpu"})) == "bf16-mixed"
    assert choose_precision(configure("fcn32s", {"precision": "32-true"})) == "32-true"


def test_peak_memory_is_in_gibibytes() -> None:
    assert 0.05 < peak_memory()["memory"] < 500


def test_networks_that_crash_in_channels_last_train_in_the_usual_layout() -> None:
    """RepVGG's first layer has a strided 1 x 1 convolution of three channels."""
    with torch.device("meta"):
        plain, branched = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(3, 8, 1, stride=2)
    on_cpu = configure("fcn32s", {"accelerator": "cpu"})
    on_gpu = configure("fcn32s", {"accelerator": "gpu"})
    off = configure("fcn32s", {"channels_last": "false"})
    assert memory_layout(plain, on_cpu) is torch.channels_last
    assert memory_layout(branched, on_cpu) is torch.contiguous_format
    assert memory_layout(branched, on_gpu) is torch.channels_last
    assert memory_layout(plain, off) is torch.contiguous_format
