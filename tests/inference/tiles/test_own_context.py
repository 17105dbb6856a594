"""Tiles that keep their own context, against the obvious weighted mean."""

import numpy as np
import pytest
import torch
from tests.inference.tiles.small import noise, prepared, timm_model

from lookwider.errors import ConfigError
from lookwider.inference.tiles import OwnContextPlan, predict_tiled


@pytest.fixture(scope="module")
def model():
    return prepared(timm_model("pspnet", "test_resnet", output_stride=32, aux=False), torch.float32)


PLANS = [
    ((70, 131), (32, 48), 8),
    ((70, 131), (64, 64), 32),
    ((30, 31), (64, 64), 0),
    ((97, 40), (64, 20), 10),
]


def weighted_mean(model, image, plan):
    """Average the probabilities of all windows, over the whole image at once."""
    total = torch.zeros(1, model.num_classes, *plan.size, dtype=torch.float64)
    for tile in plan.tiles:
        rows, cols = plan.weights(tile)
        with torch.inference_mode():
            found = next(iter(model.scores(image[..., *tile.window]).values())).probabilities()
        total[..., *tile.window] += found * rows[:, None] * cols
    return total


@pytest.mark.parametrize(("size", "tile", "overlap"), PLANS)
def test_blended_tiles_are_the_weighted_mean_of_their_windows(model, size, tile, overlap):
    plan, image = OwnContextPlan.for_size(size, tile=tile, overlap=overlap), noise(model, size)
    found = torch.full((1, model.num_classes, *size), torch.nan)
    for part, probabilities in plan.blended(model, lambda t: image[..., *t.window]):
        assert found[..., *part.core].isnan().all()
        found[..., *part.core] = probabilities
    assert (found - weighted_mean(model, image, plan)).abs().max() < 1e-6
    assert (found.sum(1) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("first", [0, 1, 5, 11, 12])
def test_what_is_taken_up_again_is_the_same_to_the_bit(model, first):
    plan, image = (
        OwnContextPlan.for_size((70, 131), tile=(32, 48), overlap=8),
        noise(model, (70, 131)),
    )
    assert len(plan.tiles) == 12

    def read(tile):
        return image[..., *tile.window]

    undisturbed = list(plan.blended(model, read))[first:]
    again = list(plan.blended(model, read, first))
    assert [tile.index for tile, _ in again] == [tile.index for tile, _ in undisturbed]
    for (_, one), (_, other) in zip(again, undisturbed, strict=True):
        assert torch.equal(one, other)


def test_weights_fall_linearly_over_the_overlap_and_sum_to_one():
    plan = OwnContextPlan.for_size((20, 36), tile=(20, 20), overlap=4)
    left, right = (plan.weights(tile)[1] for tile in plan.tiles)
    assert left[:16].tolist() == [1.0] * 16
    torch.testing.assert_close(left[16:], torch.tensor([0.875, 0.625, 0.375, 0.125]))
    torch.testing.assert_close(left[16:] + right[:4], torch.ones(4))


def test_too_much_overlap_is_refused():
    with pytest.raises(ConfigError, match=r"got overlap=11 of tiles of 20x30 .* from 0 to half"):
        OwnContextPlan.for_size((50, 50), tile=(20, 30), overlap=11)


def test_labels_of_an_image_are_those_of_the_weighted_mean(model):
    image = np.random.default_rng(0).integers(0, 256, (70, 131, 3), dtype=np.uint8)
    found = predict_tiled(model, image, tile=(32, 48), own_context=True, probabilities=True)
    plan = OwnContextPlan.for_size((70, 131), tile=(32, 48), overlap=8)
    wanted = weighted_mean(model, model.preprocess(image), plan)[0].numpy()
    assert np.abs(found.probabilities - wanted).max() < 1e-6
    assert np.array_equal(found.labels, wanted.argmax(0))
    assert predict_tiled(model, image, tile=(32, 48), own_context=True).probabilities is None
