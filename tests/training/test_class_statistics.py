import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from lookwider.classes import Classes
from lookwider.data.sample import Sample
from lookwider.errors import DataError
from lookwider.training.class_statistics import class_weights, count_pixels
from lookwider.training.optimisation import median_frequency_weights

LABELS = [[[0, 0, 0, 1]], [[1, 1, 255, 255]], [[0, 255, 0, 0]]]


class Labelled:
    classes = Classes.numbered(3)
    labels: tuple[object, ...] = tuple(np.array(label, np.uint8) for label in LABELS)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        return Sample(np.zeros((1, 4, 3), np.uint8), self.labels[index], str(index))


def test_counts_by_hand() -> None:
    pixels, image_pixels = count_pixels(Labelled(), Console(quiet=True))
    assert pixels.tolist() == [6, 3, 0]
    assert image_pixels.tolist() == [7, 6, 0]


def test_weights_are_kept_in_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "class_weights.json"
    weights = class_weights(Labelled(), path, Console(quiet=True))
    expected = median_frequency_weights(torch.tensor([6, 3, 0]), torch.tensor([7, 6, 0]))
    assert torch.equal(weights, expected)
    stored = json.loads(path.read_text())
    assert stored["pixels"] == [6, 3, 0]
    empty = Labelled()
    empty.labels = ()
    assert torch.equal(class_weights(empty, path, Console(quiet=True)), weights)


def test_sample_without_label() -> None:
    bare = Labelled()
    bare.labels = (None,)
    with pytest.raises(DataError, match="'0' has no label, expected one to train on"):
        count_pixels(bare, Console(quiet=True))
