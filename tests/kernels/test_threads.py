"""Rows in blocks: each once, whatever the number of threads, callers and processes."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from lookwider.kernels.threads import in_row_blocks


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def covered(rows: int) -> Counter[int]:
    blocks: list[tuple[int, int]] = []
    in_row_blocks(lambda start, stop, seen: seen.append((start, stop)), rows, blocks)
    return Counter(row for start, stop in blocks for row in range(start, stop))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 100])
def test_each_row_is_covered_once(rows):
    assert covered(rows) == Counter(range(rows))


@pytest.mark.usefixtures("threads")
def test_an_error_in_a_block_is_the_callers():
    def fail(start: int, stop: int) -> None:
        raise RuntimeError(f"rows {start} to {stop}")

    with pytest.raises(RuntimeError, match=r"rows \d+ to \d+"):
        in_row_blocks(fail, 9)


@pytest.mark.usefixtures("threads")
def test_several_callers_share_the_threads():
    with ThreadPoolExecutor(6) as callers:
        assert all(found == Counter(range(50)) for found in callers.map(covered, [50] * 30))


def test_blocks_may_be_split_again(threads):
    found: list[Counter[int]] = []
    in_row_blocks(lambda start, stop: found.append(covered(20)), threads)
    assert all(rows == Counter(range(20)) for rows in found)


def test_a_forked_child_has_threads_of_its_own():
    covered(9)
    process = multiprocessing.get_context("fork").Process(target=covered, args=(9,))
    process.start()
    process.join(30)
    assert process.exitcode == 0
