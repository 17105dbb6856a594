from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from lookwider.errors import ConfigError, LookwiderError
from lookwider.models import create_model
from lookwider.preprocessing import CAFFE_VOC, IMAGENET
from lookwider.probes.network import SCORES, Network


class Twice(nn.Module):
    """Calls one ReLU twice, in place, and returns several maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.deep = nn.Sequential(OrderedDict(last=nn.Conv2d(4, 2, 3)))
        self.calls = 0

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.relu(self.stem(images))
        maps = self.relu(maps - 0.5)
        self.calls += 1
        return {"out": self.deep(maps), "aux": maps}


@pytest.fixture
def twice() -> Network:
    torch.manual_seed(0)
    return Network(Twice(), name="twice")


def test_layers_are_named_as_in_the_module_and_end_with_the_scores(twice: Network) -> None:
    fields = twice.fields((8, 9))
    assert list(fields) == ["stem", "relu", "deep.last", "deep", SCORES]
    assert fields["deep.last"].shape == (1, 2, 6, 7)
    assert fields[SCORES].shape == fields["deep.last"].shape
    assert fields[SCORES].rows == fields["deep.last"].rows
    assert twice.layer("deep.last", (8, 9)) == twice.layer("last", (8, 9)) == "deep.last"


def test_values_are_those_of_a_plain_forward_pass(twice: Network) -> None:
    images = torch.randn(2, 3, 8, 9)
    module = twice.module
    assert isinstance(module, Twice)
    with torch.no_grad():
        stem = module.stem(images)
        relu = torch.relu(torch.relu(stem) - 0.5)
        scores = module.deep(relu)
        for _ in range(2):  # the second time stops at the last layer that is asked for
            found = twice.activations(images, ["stem", "relu", SCORES])
            torch.testing.assert_close(found, {"stem": stem, "relu": relu, SCORES: scores})
            assert torch.equal(twice.activations(images, ["relu"])["relu"], relu)
        whole_passes = module.calls
        assert torch.equal(twice.activations(images, ["stem"])["stem"], stem)
        assert module.calls == whole_passes


def test_gradients_are_the_callers_choice(twice: Network) -> None:
    images = torch.randn(1, 3, 8, 9, requires_grad=True)
    twice.activations(images, ["stem"])["stem"].sum().backward()
    assert images.grad is not None
    with torch.no_grad():
        assert not twice.activations(images, ["stem"])["stem"].requires_grad


def test_a_network_is_evaluated_and_left_as_it_was() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Dropout())
    network = Network(module)
    images = torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        found = network.activations(images, [SCORES])[SCORES]
        assert torch.equal(found, module.eval()(images))
    module.train()
    network.activations(images, ["1"])
    assert all(part.training for part in module)
    assert module[1].num_batches_tracked == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fcn8s", {"backbone": "resnet10t"}),
        ("parsenet", {"backbone": "resnet18"}),
        ("pspnet", {"backbone": "resnet18"}),
    ],
)
def test_the_scores_of_our_models_are_the_coarse_ones(name: str, options: dict[str, str]) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=5, **options).eval()
    network = Network(model)
    image = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        expected = model.scores(image)["main"].scores
        found = network.activations(image, [SCORES])[SCORES]
    most = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * most)
    assert network.fields((40, 56))[SCORES].shape == tuple(expected.shape)
    assert network.classes is model.classes
    assert network.preprocessing is model.preprocessing
    assert network.segmenter is model


def test_unknown_layers_are_refused(twice: Network) -> None:
    with pytest.raises(ConfigError, match=r"unknown layer 'stm' of twice; the closest are stem"):
        twice.layer("stm", (8, 9))
    with pytest.raises(ConfigError, match="unknown layer of twice 'stm'"):
        twice.activations(torch.zeros(1, 3, 8, 9), ["stm"])
    parts = {
        name: nn.Sequential(OrderedDict(last=nn.Conv2d(3, 3, 1))) for name in ("first", "second")
    }
    both = Network(nn.Sequential(OrderedDict(parts)))
    with pytest.raises(ConfigError, match=r"layer 'last' may be any of: first\.last, second\.last"):
        both.layer("last", (8, 9))


def test_a_part_called_scores_is_that_part() -> None:
    parts = OrderedDict(scores=nn.Conv2d(3, 2, 1), after=nn.Conv2d(2, 2, 3))
    network = Network(nn.Sequential(parts))
    fields = network.fields((8, 8))
    assert list(fields) == ["scores", "after", "output"]
    assert [fields[name].rows.size for name in fields] == [1, 3, 3]
    images = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        found = network.activations(images, ["scores", "output"])
        assert torch.equal(found["scores"], parts["scores"](images))
        assert torch.equal(found["output"], network.module(images))


def test_an_image_that_is_too_small_is_refused(twice: Network) -> None:
    with pytest.raises(LookwiderError, match=r"twice cannot take an image of 2x2 pixels: .*larger"):
        twice.fields((2, 2))
    with pytest.raises(LookwiderError, match=r"twice cannot take an image of 2x2 pixels: .*larger"):
        twice.activations(torch.zeros(1, 3, 2, 2), [SCORES])


def test_a_network_without_a_map_is_refused() -> None:
    class Silent(nn.Module):
        def forward(self, images: Tensor) -> str:
            return "a lake"

    with pytest.raises(LookwiderError, match="holds no tensor, expected a map"):
        Network(Silent()).fields((8, 8))


def test_other_modules_get_images_as_they_are_told() -> None:
    module = nn.Conv2d(3, 2, 1)
    assert Network(module).preprocessing is IMAGENET
    assert Network(module, preprocessing=CAFFE_VOC).preprocessing is CAFFE_VOC
    assert Network(nn.Identity()).device == torch.device("cpu")
    with pytest.raises(ConfigError, match="brings its own preprocessing"):
        Network(create_model("fcn32s", backbone="resnet10t"), preprocessing=CAFFE_VOC)
