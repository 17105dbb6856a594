import numpy as np
import pytest
import torch

from lookwider.data.loading import Collate, Draw, DrawnSamples, OrderedSamples
from lookwider.data.sample import Sample
from lookwider.data.scenes import SceneDataset
from lookwider.data.transforms import Compose, RandomCrop, RandomFlip
from lookwider.errors import DataError
from lookwider.preprocessing import IMAGENET

FLIPPED = Compose((RandomCrop((32, 32), (0.0,) * 3), RandomFlip()))


def sample(height: int = 4, name: str = "a", extra: bool = False) -> Sample:
    label = np.zeros((height, 5), np.uint8)
    image = np.full((height, 5, 3), 100, np.uint8)
    return Sample(image, label, name, {"geometric": label} if extra else {})


def test_reading_depends_on_the_draw_only_and_leaves_the_random_state() -> None:
    dataset = DrawnSamples(SceneDataset(3, (40, 48)), FLIPPED)
    assert len(dataset) == 3
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = dataset[Draw(1, 7)]
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    assert np.array_equal(dataset[Draw(1, 7)].image, first.image)
    others = [dataset[Draw(1, seed)].image for seed in range(5)]
    assert any(not np.array_equal(first.image, other) for other in others)


def test_collation_normalises_and_stacks() -> None:
    batch = Collate(IMAGENET)([sample(extra=True), sample(name="b", extra=True)])
    assert batch.images.shape == (2, 3, 4, 5)
    assert batch.images[0, 0, 0, 0] == pytest.approx((100 / 255 - 0.485) / 0.229, rel=1e-5)
    assert batch.labels.dtype == batch.extra_labels["geometric"].dtype == torch.int64
    assert batch.names == ("a", "b")


def test_ordered_samples() -> None:
    ordered = OrderedSamples(SceneDataset(2, (32, 32)), Compose(()))
    assert [ordered[i].name for i in range(len(ordered))] == ["scene_00000", "scene_00001"]


def test_what_does_not_stack() -> None:
    collate = Collate(IMAGENET)
    with pytest.raises(DataError, match="'a' is 4 x 5 x 3 and 'b' is 6 x 5 x 3, expected one size"):
        collate([sample(), sample(6, "b")])
    with pytest.raises(DataError, match=r"'b' has \['geometric'\], expected the same"):
        collate([sample(), sample(name="b", extra=True)])
    with pytest.raises(DataError, match="'a' has no label, expected one to train"):
        collate([Sample(sample().image, None, "a")])
