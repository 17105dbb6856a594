"""Where windows lie, and the mean over them by count."""

import pytest
import torch

from lookwider.inference.windows import WindowGrid, window_probabilities, window_starts


def test_windows_against_the_released_test(facts):
    for name, expected in facts("schedules_and_windows")["pspnet_matlab_test"].items():
        crop = int(name.split()[4])
        grid = WindowGrid.sliding(tuple(expected["resized"]), (crop, crop))
        if expected["single_crop"]:
            assert len(grid) == 1
            assert grid.padded == (crop, crop)
        else:
            assert [[start, start + crop] for start in grid.rows] == expected["rows"], name
            assert [[start, start + crop] for start in grid.cols] == expected["cols"], name


@pytest.mark.parametrize("window", [1, 3, 4, 9])
@pytest.mark.parametrize("stride_rate", [0.34, 2 / 3, 1.0])
def test_windows_cover_every_place_and_stay_inside(window, stride_rate):
    for length in range(1, 40):
        grid = WindowGrid.sliding((length, 1), (window, 1), stride_rate)
        covered = {row for start in grid.rows for row in range(start, start + window)}
        assert covered == set(range(max(length, window)))
        assert len(set(grid.rows)) == len(grid.rows)


def test_an_axis_shorter_than_the_window_has_one():
    assert window_starts(5, 9, 6) == (0,)
    assert window_starts(9, 9, 6) == (0,)
    assert window_starts(10, 9, 6) == (0, 1)


def test_padding_lies_after_or_around():
    after = WindowGrid.sliding((4, 20), (7, 8))
    around = WindowGrid.sliding((4, 20), (7, 8), padding="around")
    assert (after.offset, around.offset) == ((0, 0), (1, 0))
    seen = []

    def look(images):
        seen.append(images)
        return {"main": images}

    for grid, before in ((after, 0), (around, 1)):
        image = torch.full((2, 4, 20), 3.0)
        assert torch.equal(window_probabilities(look, image, grid)["main"], image)
        first = seen[-len(grid)][0]
        assert first.shape == (2, 7, 8)
        assert first[0, :, 0].tolist() == [0.0] * before + [3.0] * 4 + [0.0] * (3 - before)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_overlapping_windows_are_averaged_by_count(batch_size):
    grid = WindowGrid.sliding((11, 7), (5, 4))
    torch.manual_seed(0)
    answers = torch.randn(len(grid), 2, 5, 4)
    asked = []

    def answer(images):
        done = sum(asked)
        asked.append(len(images))
        return {"a": answers[done : done + len(images)], "b": images[:, :1]}

    finished = []
    found = window_probabilities(
        answer, torch.ones(3, 11, 7), grid, batch_size=batch_size, on_windows=finished.append
    )
    assert sum(finished) == len(grid)
    assert max(asked) == min(batch_size, len(grid))
    for row in range(11):
        for col in range(7):
            holding = [
                answers[i, :, row - top, col - left]
                for i, (top, left) in enumerate((t, c) for t in grid.rows for c in grid.cols)
                if top <= row < top + 5 and left <= col < left + 4
            ]
            torch.testing.assert_close(found["a"][:, row, col], torch.stack(holding).mean(0))
    assert torch.equal(found["b"], torch.ones(1, 11, 7))
