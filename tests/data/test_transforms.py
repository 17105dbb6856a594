import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torchvision.transforms import ColorJitter
from torchvision.transforms.v2 import functional

from lookwider.data import transforms
from lookwider.data.sample import Sample
from lookwider.errors import DataError

FILL = (10.0, 20.0, 30.0)


def make(height: int = 40, width: int = 56, bands: int = 3, dtype: type = np.uint8) -> Sample:
    random = np.random.default_rng(0)
    top = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    smooth = ndimage.gaussian_filter(random.random((height, width, bands)), (2, 2, 0))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    label = random.integers(0, 5, (height, width)).astype(np.uint8)
    extra = (label + 1).astype(np.uint8)
    image = (smooth * top).astype(dtype)
    image.setflags(write=False)
    return Sample(image, label, "a", {"geometric": extra})


def no_ties(old: int, new: int) -> np.ndarray:
    """Return which new pixels do not fall exactly between two old ones, where either is right."""
    return (2 * np.arange(new) + 1) * old % (2 * new) != 0


def test_resize_against_pillow() -> None:
    sample = make()
    for height, width in ((21, 27), (61, 90), (40, 30), (7, 100)):
        result = transforms.resize(sample, (height, width))
        image = Image.fromarray(sample.image).resize((width, height), Image.Resampling.BILINEAR)
        label = Image.fromarray(sample.label).resize((width, height), Image.Resampling.NEAREST)
        assert np.abs(result.image.astype(int) - np.asarray(image)).max() <= 1
        clear = np.ix_(no_ties(40, height), no_ties(56, width))
        assert clear[0].size >= height // 2
        assert np.array_equal(result.label[clear], np.asarray(label)[clear])
        assert np.array_equal(result.extra_labels["geometric"], result.label + 1)


def test_enlarging_against_opencv() -> None:
    sample = make()
    result = transforms.resize(sample, (93, 120)).image
    expected = cv2.resize(sample.image, (120, 93), interpolation=cv2.INTER_LINEAR)
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_rotation_against_opencv() -> None:
    sample = make(41, 57)
    result = transforms.rotate(sample, 10.0, FILL)
    matrix = cv2.getRotationMatrix2D((28.0, 20.0), 10.0, 1.0)
    expected = cv2.warpAffine(
        sample.image, matrix, (57, 41), flags=cv2.INTER_LINEAR, borderValue=FILL
    )
    inside = cv2.warpAffine(np.ones((41, 57), np.uint8), matrix, (57, 41)) == 1
    inside = ndimage.binary_erosion(inside, iterations=2)
    # OpenCV rounds positions to 1/32 pixel
    assert np.abs(result.image.astype(int) - expected)[inside].max() <= 6
    label = cv2.warpAffine(sample.label, matrix, (57, 41), flags=cv2.INTER_NEAREST, borderValue=255)
    assert (result.label == label)[inside].mean() > 0.97
    assert result.label[0, 0] == 255
    assert result.image[0, 0].tolist() == list(FILL)


def test_no_rotation_is_the_sample() -> None:
    sample = make()
    result = transforms.rotate(sample, 0.0, FILL)
    assert np.array_equal(result.image, sample.image)
    assert np.array_equal(result.label, sample.label)


def test_flip_blur_and_colours_against_their_references() -> None:
    sample = make()
    flipped = transforms.flip(sample)
    assert np.array_equal(flipped.image, sample.image[:, ::-1])
    assert np.array_equal(flipped.label, sample.label[:, ::-1])
    blurred = transforms.blur(sample, 5, 1.2)
    expected = cv2.GaussianBlur(sample.image, (5, 5), 1.2, borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(blurred.image.astype(int) - expected).max() <= 1
    assert np.array_equal(blurred.label, sample.label)
    same = transforms.recolour(sample, 1.0, 1.0, 1.0, 0.0)
    assert np.array_equal(same.image, sample.image)
    changed = transforms.recolour(sample, 1.3, 0.8, 1.2, 0.1).image
    tensor = torch.from_numpy(sample.image.copy()).permute(2, 0, 1)
    jitter = ColorJitter((1.3, 1.3), (0.8, 0.8), (1.2, 1.2), (0.1, 0.1))
    jitter_order = [jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue]
    for name, (value, _) in zip(
        ("brightness", "contrast", "saturation", "hue"), jitter_order, strict=True
    ):
        tensor = getattr(functional, f"adjust_{name}")(tensor, value)
    assert np.array_equal(changed, tensor.permute(1, 2, 0).numpy())


@given(st.integers(-60, 60), st.integers(-60, 60), st.integers(1, 90), st.integers(1, 90))
def test_crop_against_a_padded_copy(top: int, left: int, height: int, width: int) -> None:
    sample = make(20, 30)
    result = transforms.crop(sample, top, left, (height, width), FILL)
    rows, cols = np.arange(top, top + height), np.arange(left, left + width)
    inside = ((rows >= 0) & (rows < 20))[:, None] & ((cols >= 0) & (cols < 30))[None]
    clipped = np.ix_(rows.clip(0, 19), cols.clip(0, 29))
    assert np.array_equal(result.label, np.where(inside, sample.label[clipped], 255))
    filled = np.where(inside[..., None], sample.image[clipped], np.array(FILL, np.uint8))
    assert np.array_equal(result.image, filled)
    assert result.image.dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("bands", [1, 3, 7])
def test_any_bands_and_depth_keep_their_type(dtype: type, bands: int) -> None:
    sample = make(bands=bands, dtype=dtype)
    fill = (1.0,) * bands
    chain = transforms.Compose(
        (
            transforms.Resize((50, 60)),
            transforms.RandomScale(0.5, 2.0),
            transforms.RandomRotation(10, fill),
            transforms.RandomShift(8, fill),
            transforms.RandomCrop((32, 48), fill),
            transforms.RandomFlip(),
            transforms.RandomBlur(1.0),
        )
    )
    result = chain(sample)
    assert result.image.shape == (32, 48, bands)
    assert result.image.dtype == dtype
    assert result.label is not None
    assert result.label.shape == result.extra_labels["geometric"].shape == (32, 48)
    valid = result.label != 255
    assert np.array_equal(result.label[valid] + 1, result.extra_labels["geometric"][valid])


def test_sixteen_bits_are_not_lost() -> None:
    sample = make(dtype=np.uint16)
    result = transforms.resize(sample, (80, 112)).image.astype(float)
    expected = cv2.resize(sample.image, (112, 80), interpolation=cv2.INTER_LINEAR)
    assert np.abs(result - expected).max() <= 2


def test_image_and_label_stay_aligned() -> None:
    """An edge in the image stays on the label's edge through every change of geometry."""
    label = np.zeros((60, 80), np.uint8)
    label[20:45, 30:60] = 1
    sample = Sample(np.repeat(label[:, :, None] * 200, 3, 2), label, "edge")
    torch.manual_seed(0)
    chain = transforms.Compose(
        (
            transforms.RandomScale(0.5, 2.0),
            transforms.RandomRotation(10, (0.0,) * 3),
            transforms.RandomCrop((64, 64), (0.0,) * 3),
            transforms.RandomFlip(),
        )
    )
    for _ in range(20):
        result = chain(sample)
        assert result.label is not None
        bright = result.image[:, :, 0] > 100
        valid = result.label != 255
        assert (bright == (result.label == 1))[valid].mean() > 0.985


def test_draws_come_from_torch_only_and_cover_the_range() -> None:
    sample = make()
    scale = transforms.RandomScale(0.5, 2.0)
    torch.manual_seed(3)
    heights = [scale(sample).image.shape[0] for _ in range(60)]
    assert 20 <= min(heights) < 30
    assert 70 < max(heights) <= 80
    torch.manual_seed(3)
    assert [scale(sample).image.shape[0] for _ in range(60)] == heights
    colour = transforms.RandomColour(0.5)
    torch.manual_seed(4)
    first = colour(sample).image
    torch.manual_seed(4)
    assert np.array_equal(colour(sample).image, first)
    assert not np.array_equal(colour(sample).image, first)
    assert np.array_equal(transforms.RandomBlur(0.0)(sample).image, sample.image)
    assert np.array_equal(transforms.RandomFlip(1.0)(sample).image, sample.image[:, ::-1])


def test_sample_without_label() -> None:
    sample = make()
    bare = Sample(sample.image, None, "a")
    assert transforms.flip(transforms.crop(bare, 0, 0, (9, 9), FILL)).label is None


def test_errors() -> None:
    with pytest.raises(DataError, match="colour jitter needs 8-bit RGB, got 7 bands of uint16"):
        transforms.recolour(make(bands=7, dtype=np.uint16), 1, 1, 1, 0)
    with pytest.raises(DataError, match="a fill of 3 values for 1 bands"):
        transforms.rotate(make(bands=1), 5, FILL)
    with pytest.raises(DataError, match="expected finite values"):
        transforms.crop(make(), 0, 0, (3, 3), (np.nan,) * 3)
