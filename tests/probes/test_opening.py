from pathlib import Path

import pytest
import torch
from torch import nn

from lookwider.errors import ConfigError
from lookwider.models import create_model
from lookwider.probes.opening import open_network
from lookwider.weights.checkpoint import save


def test_a_checkpoint(tmp_path: Path) -> None:
    model = create_model("fcn32s", backbone="resnet10t", num_classes=3)
    save(model, tmp_path / "a")
    network = open_network(tmp_path / "a")
    assert network.segmenter is not None
    found = network.segmenter.state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())


def test_a_module_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_to_probe.py").write_text(
        "from torch import nn\n"
        "class Nets:\n"
        "    @staticmethod\n"
        "    def small():\n"
        "        return nn.Conv2d(3, 2, 3)\n"
        "def broken():\n"
        "    raise OSError('no weights')\n"
        "def number():\n"
        "    return 3\n"
        "constant = 4\n"
    )
    monkeypatch.chdir(tmp_path)
    network = open_network("mine_to_probe:Nets.small")
    assert isinstance(network.module, nn.Conv2d)
    assert not network.module.training
    for name, message in {
        "broken": "failed with OSError: no weights",
        "number": r"returned a int, expected a torch\.nn\.Module",
        "constant": "got a int, expected a function or class",
        "none": "cannot be imported: .*has no attribute 'none'",
    }.items():
        with pytest.raises(ConfigError, match=f"mine_to_probe:{name}: {message}"):
            open_network(f"mine_to_probe:{name}")
    (tmp_path / "half_written.py").write_text("def net(:\n")
    with pytest.raises(ConfigError, match=r"half_written:net: cannot be imported: .*syntax"):
        open_network("half_written:net")
    with pytest.raises(ConfigError, match=r"not_there:net: cannot be imported: No module named"):
        open_network("not_there:net")


def test_what_is_none_of_these() -> None:
    with pytest.raises(ConfigError, match=r"runs/a: no such run or checkpoint; .* or one of fcn, "):
        open_network("runs/a")
