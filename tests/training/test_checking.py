from typing import Any

import pytest

from lookwider.data.scenes import SceneDataset
from lookwider.errors import ConfigError
from lookwider.models import create_model
from lookwider.training.checking import check_batch_norm, check_run
from lookwider.training.recipes import configure


def check(size: tuple[int, int] = (64, 64), val: Any = None, **settings: Any) -> None:
    data = SceneDataset(2, size)
    model = create_model("fcn32s", backbone="test_efficientnet", classes=data.classes)
    values = {"crop_size": "64,64", "backbone": "test_efficientnet"} | settings
    check_run(configure("fcn32s", values), data, val, model)


def test_usual_settings_pass() -> None:
    check()


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"bins": "1"}, r"context.branches.0.norm .* batch_size=2 or more, or norm=group$"),
        ({"bins": "2"}, None),
        ({"bins": "1", "norm": "group"}, None),
    ],
)
def test_pspnet_on_one_image_a_step_is_refused_before_the_first(
    settings: dict[str, str], advice: str | None
) -> None:
    given = {"batch_size": 1, "crop_size": "64", **settings}
    config = configure("pspnet", given)
    model = create_model("pspnet", backbone="resnet18", **config.model_options)
    sample = SceneDataset(1, (64, 64))[0]
    if advice is None:
        check_batch_norm(config, sample, model)
    else:
        with pytest.raises(ConfigError, match=advice):
            check_batch_norm(config, sample, model)


def test_lone_value_of_batch_norm_is_named() -> None:
    message = r"batch normalisation of backbone\..* would see one value .* set batch_size=2"
    with pytest.raises(ConfigError, match=message):
        check(crop_size="32,32", batch_size=1)
    check(crop_size="32,32", batch_size=2)
    check(crop_size="32,32", batch_size=1, freeze_trunk=True)
    check(crop_size="64,64", batch_size=1)


def test_crop_far_larger_than_the_images() -> None:
    with pytest.raises(ConfigError, match="crop_size=400,64 is more than twice the images"):
        check(crop_size="400,64")


def test_classes_that_do_not_fit() -> None:
    data = SceneDataset(1, (64, 64))
    config = configure("fcn32s", {"crop_size": "64,64"})
    model = create_model("fcn32s", backbone="test_efficientnet", num_classes=2)
    with pytest.raises(ConfigError, match=r"the model tells 2 classes apart, the data has \d+"):
        check_run(config, data, None, model)


class Odd:
    def __init__(self, count: int, names: tuple[str, ...], label: Any = None) -> None:
        self.count = count
        self.classes = SceneDataset(1, (32, 32)).classes.named(names)
        self.label = label

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        scene = SceneDataset(1, (64, 64))[0]
        return type(scene)(scene.image, self.label, "bare")


def test_empty_split_other_classes_and_no_label() -> None:
    with pytest.raises(ConfigError, match="the split 'val' of scenes has no sample"):
        check(val=Odd(0, ("a",)))
    with pytest.raises(ConfigError, match="the splits 'train' and 'val' have other classes"):
        check(val=Odd(1, ("a",)))
    model = create_model("fcn32s", backbone="test_efficientnet", num_classes=1)
    with pytest.raises(ConfigError, match="'bare' of split 'train' has no label to train on"):
        check_run(configure("fcn32s"), Odd(1, ("a",)), None, model)
