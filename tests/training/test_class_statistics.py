import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from lookwider.classes import Classes
from lookwider.data.sample import Sample
from lookwider.errors import DataError
from lookwider.training import class_statistics
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


def test_processes_share_the_images_out_and_meet_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that reads slowly is waited for every few images, not once at the end of all."""
    meetings: list[int] = []
    read: list[list[int]] = [[], []]
    shares: list[torch.Tensor] = []

    class Watched(Labelled):
        def __getitem__(self, index: int) -> Sample:
            read[rank].append(index)
            return super().__getitem__(index)

    def gather(share: torch.Tensor) -> list[torch.Tensor]:
        shares.append(share)
        return shares

    monkeypatch.setattr(class_statistics, "MEETING", 1)
    monkeypatch.setattr(class_statistics, "process_count", lambda: 2)
    monkeypatch.setattr(class_statistics, "process_rank", lambda: rank)
    monkeypatch.setattr(class_statistics, "meet", lambda: meetings.append(rank))
    monkeypatch.setattr(class_statistics, "objects_of_all", gather)
    rank = 0
    count_pixels(Watched(), Console(quiet=True))
    rank = 1
    pixels, image_pixels = count_pixels(Watched(), Console(quiet=True))
    assert read == [[0, 2], [1]]
    assert meetings == [0, 0, 1, 1]
    assert (pixels.tolist(), image_pixels.tolist()) == ([6, 3, 0], [7, 6, 0])


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
