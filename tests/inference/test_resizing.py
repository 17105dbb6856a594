"""Sizes at a scale and bilinear resizing, against MATLAB's definition, Pillow and OpenCV."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from lookwider.inference.resizing import resize, resized_size


def test_sizes_against_the_released_test(facts):
    vectors = facts("schedules_and_windows")["pspnet_matlab_test"]
    assert len(vectors) == 24
    for name, expected in vectors.items():
        size, _, base, _, _, _, scale = name.split()
        height, width = map(int, size.split("x"))
        resized = resized_size((height, width), float(scale), int(base), extra=1)
        assert list(resized) == expected["resized"], name


def test_sizes_of_the_image_itself():
    for size in ((360, 480), (1, 1), (1, 999), (7001, 13)):
        assert resized_size(size, 1.0) == size
    assert resized_size((360, 480), 0.5) == (180, 240)
    assert resized_size((480, 360), 1.5) == (720, 540)
    assert resized_size((1, 400), 0.1) == (1, 40)


def test_halves_round_up_or_to_even():
    # 237 / 256 * 128 = 118.5
    assert resized_size((128, 256), 1.0, base_size=237) == (119, 237)
    assert resized_size((128, 256), 1.0, base_size=237, rule="opencv") == (118, 237)
    # the longer side at 0.5: 236.5
    assert resized_size((473, 473), 0.5) == (237, 237)
    assert resized_size((473, 473), 0.5, rule="opencv") == (236, 236)


def test_the_shorter_side_is_computed_in_single_precision_as_released():
    # 237 / 200 is a little below 1.185 in single precision
    assert resized_size((100, 200), 1.0, base_size=237) == (118, 237)


def matlab_weights(old, new, mirror=True):
    """Return imresize's (new, old) bilinear weights; beyond the border mirrored or left out."""
    scale = new / old
    stretch = min(scale, 1.0)
    weights = np.zeros((new, old))
    for i in range(new):
        centre = (i + 0.5) / scale - 0.5
        for place in range(-2 * old, 3 * old):
            weight = max(0.0, 1 - abs(stretch * (place - centre)))
            inside = 0 <= place < old
            if not inside and mirror:  # 2 1 0 0 1 2 2 1 0 ...
                place = place % (2 * old)
                place = 2 * old - 1 - place if place >= old else place
            if inside or mirror:
                weights[i, place] += weight
    return weights / weights.sum(1, keepdims=True)


CASES = [
    ((7, 9), (4, 5)),
    ((7, 9), (15, 13)),
    ((12, 5), (3, 9)),
    ((1, 6), (1, 1)),
    ((16, 1), (9, 1)),
    ((3, 16), (40, 1)),
    ((40, 30), (1, 1)),
]


@pytest.mark.parametrize(("old", "new"), CASES)
def test_values_against_matlabs_definition(old, new):
    torch.manual_seed(0)
    maps = torch.randn(2, *old, dtype=torch.float64)
    rows, cols = (matlab_weights(*sides) for sides in zip(old, new, strict=True))
    np.testing.assert_allclose(resize(maps, new), rows @ maps.numpy() @ cols.T, atol=1e-12)


def test_whole_numbers_against_matlabs_definition():
    """The axis that shrinks more first, rounded to whole numbers after each."""
    image = np.random.default_rng(0).integers(0, 256, (3, 41, 31)).astype(float)
    raw = torch.from_numpy(image)
    rows, cols = matlab_weights(41, 27), matlab_weights(31, 11)
    shrunk = np.floor(rows @ np.floor(image @ cols.T + 0.5) + 0.5)
    found = resize(raw, (27, 11), whole_numbers=True).numpy()
    # exact halves go by the last bit, here and there
    assert np.abs(found - shrunk).max() <= 1
    assert (found == shrunk).mean() > 0.99
    assert (np.floor(resize(raw, (27, 11)).numpy() + 0.5) == shrunk).mean() < 0.9
    rows, cols = matlab_weights(41, 53), matlab_weights(31, 59)
    grown = np.floor(np.floor(rows @ image + 0.5) @ cols.T + 0.5)
    np.testing.assert_array_equal(resize(raw, (53, 59), whole_numbers=True), grown)


@pytest.mark.parametrize(("old", "new"), [((33, 29), (9, 11)), ((7, 9), (4, 15))])
def test_values_against_torch(old, new):
    maps = torch.randn(2, *old, dtype=torch.float64)
    theirs = functional.interpolate(maps[None], new, mode="bilinear", antialias=True)[0]
    found = resize(maps, new)
    # PyTorch leaves out what imresize mirrors: only a shrunk axis' outermost places differ
    inner = tuple(
        slice(None) if after > before else slice(1, -1)
        for before, after in zip(old, new, strict=True)
    )
    torch.testing.assert_close(found[:, *inner], theirs[:, *inner])
    assert not torch.allclose(found, theirs)


@pytest.mark.parametrize("new", [(9, 11), (20, 17), (41, 30), (33, 64)])
def test_pixels_against_pillow(new):
    image = np.random.default_rng(0).integers(0, 256, (33, 29, 3), np.uint8)
    raw = torch.from_numpy(image).permute(2, 0, 1).float()
    ours = resize(raw, new, whole_numbers=True).permute(1, 2, 0).numpy()
    if new[0] / 33 < new[1] / 29:  # Pillow takes the width first, imresize what shrinks more
        turned = Image.fromarray(image.transpose(1, 0, 2))
        theirs = np.asarray(turned.resize(new, Image.Resampling.BILINEAR)).transpose(1, 0, 2)
    else:
        theirs = np.asarray(Image.fromarray(image).resize(new[::-1], Image.Resampling.BILINEAR))
    # at the border Pillow leaves out what imresize mirrors
    difference = np.abs(ours - theirs.astype(float))[1:-1, 1:-1]
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.98


@pytest.mark.parametrize("new", [(9, 11), (20, 17), (41, 30), (33, 64)])
def test_values_against_opencv(new):
    image = np.random.default_rng(0).random((33, 29, 3))
    theirs = cv2.resize(image, new[::-1], interpolation=cv2.INTER_LINEAR)
    maps = torch.from_numpy(image).permute(2, 0, 1)
    ours = resize(maps, new, "opencv", whole_numbers=True)
    np.testing.assert_allclose(ours.permute(1, 2, 0).numpy(), theirs, atol=1e-6)
