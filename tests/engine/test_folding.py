"""Rewritten modules against the modules as they were."""

import copy

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn import functional

from lookwider.engine.convolution import FusedConv2d
from lookwider.engine.folding import folded, optimised


def trained(module):
    """Give normalisations statistics as of a trained network."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            nn.init.normal_(part.running_mean, 0, 0.3)
            nn.init.uniform_(part.running_var, 0.5, 2)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias)
    return module.eval()


def check(module, *, fused, left=0):
    trained(module)
    maps = torch.randn(2, 3, 8, 9)
    with torch.inference_mode():
        wanted = module(maps.clone())
        fast = optimised(copy.deepcopy(module))
        found = fast(maps.clone())
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    parts = list(fast.modules())
    assert sum(isinstance(part, FusedConv2d) for part in parts) == fused
    assert sum(isinstance(part, nn.BatchNorm2d) for part in parts) == left


class Block(nn.Module):
    def __init__(self, inplace=True):
        super().__init__()
        self.one, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.two = nn.Conv2d(3, 3, 1, bias=False)
        self.relu = nn.ReLU(inplace=inplace)

    def forward(self, maps):
        found = self.norm(self.one(maps))
        found += self.two(maps)
        return self.relu(found)


class Kept(Block):
    """What is kept of the first convolution is changed in place afterwards."""

    def forward(self, maps):
        first = self.one(maps)
        second = self.relu(first)
        return first + self.norm(self.two(second))


class MovedPast(Block):
    """The map of the first convolution's input is changed before the addition."""

    def forward(self, maps):
        found = self.norm(self.one(maps))
        return found + self.two(maps.mul_(2))


class Sliced(Block):
    """Something is written into a part of a map."""

    def forward(self, maps):
        found = self.norm(self.one(maps))
        found[:, :1] = 0
        return self.two(found)


class Decides(Block):
    """Code that looks at sizes, between parts that do not."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU())

    def forward(self, maps):
        return self.inner(maps if maps.shape[-1] > 2 else maps[:1])


class Around(nn.Module):
    def __init__(self):
        super().__init__()
        self.before, self.decides = nn.Conv2d(3, 3, 1), Decides()

    def forward(self, maps):
        return functional.dropout(self.decides(self.before(maps)), 0.5, self.training)


class Named(Block):
    """Layers are given their input by its name."""

    def __init__(self):
        super().__init__()
        self.drop, self.alone = nn.Dropout(), Decides()

    def forward(self, maps):
        found = self.drop(input=self.relu(input=self.norm(input=self.one(input=maps))))
        return functional.dropout(input=self.two(found), p=0.5, training=self.training)


class OfAView(Block):
    """A part of a map is changed in place, which the map shows."""

    def forward(self, maps):
        found = self.one(maps)
        found[:, :2].relu_()
        return self.two(found)


class UnderAView(Block):
    """A map is changed in place, which a view of it shows."""

    def forward(self, maps):
        found = self.one(maps)
        part = found[:, :1]
        found.mul_(2)
        return self.two(found) + part


class ThroughNothing(Block):
    """A dropout returns its input, which is then changed in place."""

    def forward(self, maps):
        found = self.one(maps)
        other = functional.dropout(found, 0.5, self.training)
        other.add_(1)
        return self.two(found) + other


class Counter(Block):
    """A number is changed, not a map."""

    def forward(self, maps):
        found = self.one(maps)
        height = found.shape[2]
        more = height
        more += 1
        return functional.interpolate(found, (height, more))


@pytest.mark.parametrize(
    ("module", "fused", "left"),
    [
        (nn.Conv2d(3, 4, 3), 1, 0),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout()), 1, 0),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)), 1, 0),
        (nn.Sequential(nn.Conv2d(3, 4, 3), BatchNormAct2d(4)), 1, 0),
        (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.Hardswish(inplace=True)), 1, 1),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
            1,
            1,
        ),
        (Block(), 2, 0),
        (Block(inplace=False), 2, 0),
        (Kept(), 2, 0),
        (MovedPast(), 2, 0),
        (Sliced(), 2, 1),
        (Decides(), 3, 1),
        (Around(), 4, 1),
        (Named(), 2, 0),
        (OfAView(), 2, 1),
        (UnderAView(), 2, 1),
        (ThroughNothing(), 2, 1),
        (Counter(), 1, 0),
    ],
)
def test_equals_the_module(module, fused, left):
    check(module, fused=fused, left=left)


def test_modules_with_hooks_are_left_alone():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    module[0].register_forward_hook(lambda *_: None)
    assert optimised(module) is module


def test_folding_is_exact_in_float64():
    convolution, norm = nn.Conv2d(3, 4, 3).double(), nn.BatchNorm2d(4).double()
    trained(nn.Sequential(convolution, norm))
    maps = torch.randn(1, 3, 7, 7, dtype=torch.float64)
    found = functional.conv2d(maps, *folded(convolution, norm))
    torch.testing.assert_close(found, norm(convolution(maps)), rtol=1e-13, atol=1e-13)
