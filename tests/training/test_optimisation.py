from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from lookwider.errors import ConfigError
from lookwider.models import create_model, parameter_roles
from lookwider.training.optimisation import (
    GroupRule,
    lr_factor,
    median_frequency_weights,
    parameter_groups,
    poly,
)


def test_poly_against_the_released_figures(facts: Callable[[str], Any]) -> None:
    for name, values in facts("schedules_and_windows")["poly"].items():
        _, base, _, power, _, max_steps = name.split()
        for step, expected in values.items():
            lr = float(base) * poly(int(step), int(max_steps), float(power))
            assert lr == pytest.approx(expected, rel=1e-8)


def test_poly_against_torch() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    scheduler = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=20, power=0.9)
    for step in range(20):
        assert 0.3 * poly(step, 20) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_fixed_schedule_and_warmup() -> None:
    assert lr_factor(7, 10, schedule="fixed") == 1.0
    factors = [lr_factor(s, 100, schedule="fixed", warmup_steps=4) for s in range(6)]
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert lr_factor(50, 100, schedule="poly", warmup_steps=4) == poly(50, 100)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 2, 1)
        self.frozen = nn.Parameter(torch.zeros(1), requires_grad=False)


def test_groups_have_the_papers_multipliers() -> None:
    net = Net()
    roles = {n: "trunk" if n.startswith("trunk") else "new" for n, _ in net.named_parameters()}
    groups = parameter_groups(net, roles, GroupRule(0.01, 5e-4, new_lr_factor=10))
    found = {g["name"]: (g["lr"], g["weight_decay"], len(g["params"])) for g in groups}
    assert found == {
        "trunk weight": (0.01, 5e-4, 1),
        "trunk bias": (0.02, 0.0, 1),
        "trunk norm": (0.01, 0.0, 2),
        "new weight": (pytest.approx(0.1), 5e-4, 1),
        "new bias": (pytest.approx(0.2), 0.0, 1),
    }
    alexnet = parameter_groups(
        net, roles, GroupRule(1e-4, 5e-4, bias_lr_factor=1.0, bias_decay=True)
    )
    assert {g["name"]: g["weight_decay"] for g in alexnet}["trunk bias"] == 5e-4
    assert {g["lr"] for g in alexnet} == {1e-4}


def test_groups_hold_every_parameter_once() -> None:
    model = create_model("fcn8s", backbone="test_resnet", num_classes=3)
    groups = parameter_groups(model, parameter_roles(model), GroupRule(0.1, 1e-4))
    held = [id(p) for g in groups for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_nothing_to_learn() -> None:
    net = Net().requires_grad_(False)
    with pytest.raises(ConfigError, match="no parameter that learns"):
        parameter_groups(net, {}, GroupRule(0.1, 0.0))


def test_median_frequency_by_hand() -> None:
    # class 0: 60 of 100 + 100, class 1: 40 of 100, class 2: 100 of 100, class 3: never
    pixels = torch.tensor([100, 40, 60, 0])
    image_pixels = torch.tensor([200, 100, 100, 0])
    weights = median_frequency_weights(pixels, image_pixels)
    assert weights.tolist() == pytest.approx([1.0, 1.25, 0.5 / 0.6, 0.0])
    with pytest.raises(ConfigError, match="hold no class at all"):
        median_frequency_weights(torch.zeros(3), torch.zeros(3))
