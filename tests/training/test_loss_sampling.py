import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lookwider.errors import ConfigError
from lookwider.training.loss_sampling import balanced_probability, sample_loss


def labels_of(*shape: int, classes: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, shape, generator=generator)
    labels[torch.rand(shape, generator=generator) < 0.1] = 255
    return labels


def draw(labels: torch.Tensor, sampling: str, keep: float = 0.5, seed: int = 0) -> torch.Tensor:
    return sample_loss(labels, sampling, keep=keep, cell=8, num_classes=4, seed=seed)


def test_whole_is_the_labels_themselves() -> None:
    labels = labels_of(1, 20, 20)
    assert draw(labels, "whole") is labels


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 100))
def test_uniform_keeps_or_drops_whole_cells(height: int, width: int, seed: int) -> None:
    labels = labels_of(2, height, width)
    sampled = draw(labels, "uniform", seed=seed)
    for image, original in zip(sampled, labels, strict=True):
        for top in range(0, height, 8):
            for left in range(0, width, 8):
                window = (slice(top, top + 8), slice(left, left + 8))
                kept = torch.equal(image[window], original[window])
                assert kept or (image[window] == 255).all()


def test_uniform_keeps_the_share_asked_for() -> None:
    labels = torch.zeros(4, 400, 400, dtype=torch.int64)
    share = (draw(labels, "uniform", keep=0.3) == 0).float().mean()
    assert float(share) == pytest.approx(0.3, abs=0.02)
    assert (draw(labels, "uniform", keep=1.0) == 0).all()


def test_the_draw_depends_on_the_seed_only() -> None:
    labels = labels_of(1, 64, 64)
    assert torch.equal(draw(labels, "uniform", seed=5), draw(labels, "uniform", seed=5))
    assert not torch.equal(draw(labels, "uniform", seed=5), draw(labels, "uniform", seed=6))


def test_balanced_evens_out_the_classes() -> None:
    """Whole cells of one class each: the expected kept pixels of the classes become equal."""
    classes = torch.zeros(16, 16, dtype=torch.int64)
    classes[0, :8] = 1
    classes[1, :16] = 2
    labels = classes.repeat_interleave(8, 0).repeat_interleave(8, 1)[None]
    probability = balanced_probability(labels, keep=0.05, cell=8, num_classes=3)[0]
    kept = [float(probability[classes == i].sum()) for i in range(3)]
    assert kept == pytest.approx([0.05 * 256 / 3] * 3)
    assert float(probability.mean()) == pytest.approx(0.05)


def test_balanced_keeps_all_of_a_rare_class_before_more_of_the_others() -> None:
    classes = torch.zeros(16, 16, dtype=torch.int64)
    classes[0, 0] = 1
    labels = classes.repeat_interleave(8, 0).repeat_interleave(8, 1)[None]
    probability = balanced_probability(labels, keep=0.5, cell=8, num_classes=2)[0]
    assert float(probability[0, 0]) == 1.0
    assert float(probability.sum()) == pytest.approx(128)


def test_balanced_without_a_valid_pixel_and_with_everything_kept() -> None:
    ignored = torch.full((1, 20, 20), 255)
    assert (draw(ignored, "balanced") == 255).all()
    labels = torch.zeros(1, 20, 20, dtype=torch.int64)
    assert (draw(labels, "balanced", keep=1.0) == 0).all()


def test_wrong_share() -> None:
    with pytest.raises(ConfigError, match="expected 0 < keep <= 1"):
        draw(labels_of(1, 8, 8), "uniform", keep=0.0)
