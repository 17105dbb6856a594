"""What is shown of an image is what the library computes."""

import numpy as np
import pytest
import torch
from tests.web.served import picture

from lookwider.errors import LookwiderError
from lookwider.layers.taps import Taps
from lookwider.models.segmenter import image_array
from lookwider.probes.fields import empirical_field
from lookwider.probes.network import Network
from lookwider.probes.swap import OtherImage, Zeros, swap_context
from lookwider.scores import ScoreMap
from lookwider.web.studio import segmented as segmented_module
from lookwider.web.studio.context import has_context, segment_swapped
from lookwider.web.studio.field import coarse_field
from lookwider.web.studio.segmented import ranked_scores, ranks, segment

IMAGE = picture(70, 91)


@pytest.fixture(scope="module")
def network(models):
    return Network(models["wide"].plain(), name="wide")


def ranks_by_sorting(probabilities, number):
    """Sort the classes of every pixel, the lower id first where two are equal."""
    order = np.argsort(-probabilities, axis=0, kind="stable")[:number]
    return order, np.take_along_axis(probabilities, order, 0)


def test_labels_and_confidence_are_those_of_predict(models):
    model = models["wide"].fast()
    found = segment(model, IMAGE, "blobs")
    expected = model.predict(IMAGE, probabilities=True)
    assert np.array_equal(found.prediction.labels, expected.labels)
    ids, shares = ranks_by_sorting(expected.probabilities, 3)
    assert np.array_equal(found.ranked, ids)
    assert np.array_equal(found.shares, np.round(shares * 255))
    assert found.areas == expected.areas()
    assert found.mean_confidence == pytest.approx(shares[0].mean(), abs=1 / 255)
    assert found.prediction.name == "blobs"
    assert np.array_equal(found.prediction.image, image_array(IMAGE))


def test_ranks_in_strips_are_ranks_of_the_whole(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, 5, 7, 9, generator=generator)
    scores = ScoreMap(coarse, Taps.aligned(7, 50), Taps.aligned(9, 65))
    whole = ranked_scores(scores)
    monkeypatch.setattr(segmented_module, "STRIP_NUMBERS", 5 * 65 * 3)
    for one, other in zip(ranked_scores(scores), whole, strict=True):
        assert np.array_equal(one, other)
    expected = ranks_by_sorting(scores.probabilities()[0].numpy(), 3)[0]
    assert np.array_equal(whole[1], expected)


def test_two_classes_have_two_ranks():
    ids, shares = ranks(torch.tensor([[0]]), torch.tensor([[[0.75]], [[0.25]]]))
    assert ids.ravel().tolist() == [0, 1]
    assert shares.ravel().tolist() == [191, 64]


@pytest.mark.parametrize("name", ["plain", "wide"])
def test_tiles_give_what_the_whole_image_gives(models, name):
    model = models[name].fast()
    image = picture(300, 260)
    told = []
    whole = segment(model, image)
    tiled = segment(
        model,
        image,
        whole_pixels=10_000,
        window_pixels=78_000,
        tell=lambda share, words: told.append((share, words)),
    )
    assert tiled.tiles > 1
    assert np.array_equal(tiled.prediction.labels, whole.prediction.labels)
    assert np.abs(tiled.shares[0].astype(int) - whole.shares[0]).max() <= 1
    assert (tiled.ranked == whole.ranked).mean() > 0.999
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] < 1
    assert told[-1][1] == f"segmenting tile {tiled.tiles} of {tiled.tiles}"


def test_what_is_told_can_stop_the_tiles(models):
    def tell(share, words):
        if "tile 2" in words:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment(models["plain"].fast(), picture(300, 260), whole_pixels=1, tell=tell)


@pytest.mark.parametrize("replacement", [Zeros(), OtherImage(picture(40, 60, seed=3))])
def test_a_swap_is_the_instruments(network, replacement):
    expected = swap_context(network, IMAGE, replacement)
    found = segment_swapped(network, IMAGE, replacement)
    assert np.array_equal(found.prediction.labels, expected.after)
    own = segment(network.module, IMAGE)
    assert np.array_equal(own.prediction.labels, expected.before)
    assert not np.array_equal(own.shares, found.shares)


def test_who_has_a_context(models, network):
    assert [name for name in models if has_context(models[name].information)] == ["wide"]
    plain = Network(models["plain"].plain(), name="plain")
    with pytest.raises(LookwiderError, match="plain has no context to swap"):
        segment_swapped(plain, IMAGE, Zeros())
    with pytest.raises(LookwiderError, match="got an image of 70 x 91 pixels, expected at most 99"):
        segment_swapped(network, IMAGE, Zeros(), most_pixels=99)


def test_a_coarse_field_is_an_empirical_field(network, monkeypatch):
    monkeypatch.setattr("lookwider.web.studio.field.WINDOWS_ACROSS", 3)
    image, told, turns = picture(48, 48), [], []

    class Turn:
        def __enter__(self):
            turns.append("took")

        def __exit__(self, *failure):
            turns.append("gave")

    found = coarse_field(
        network, image, (20, 31), turn=Turn, tell=lambda share, words: told.append(share)
    )
    expected = empirical_field(network, image, (20, 31), window=16, stride=8, draws=1, batch_size=4)
    assert np.array_equal(found.values, expected.values)
    assert told[-1] == 1
    assert turns == ["took", "gave"] * (len(turns) // 2)
    assert len(turns) == 2 * len(told)  # a turn for every batch, and the last
    with pytest.raises(LookwiderError, match="expected at most 9 for measuring a field"):
        coarse_field(network, image, (0, 0), most_pixels=9)
