from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from lookwider.bench.memory import extra_memory, keeping_freed_memory
from lookwider.inference import memory

MIB = 2**20


def test_the_peak_is_that_of_the_call_and_not_of_an_earlier_one() -> None:
    torch.ones(200 * MIB, dtype=torch.uint8)
    small = extra_memory(lambda: torch.ones(40 * MIB, dtype=torch.uint8))
    assert (small is None) == (sys.platform != "linux")
    assert small is None or 36 < small < 80


def test_what_is_held_before_does_not_count() -> None:
    held = torch.ones(100 * MIB, dtype=torch.uint8)
    nothing = extra_memory(lambda: held[0])
    assert nothing is None or nothing < 30


def test_it_is_unknown_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    monkeypatch.setattr(memory, "FORGET", tmp_path / "forget")
    assert extra_memory(lambda: None) is None
    (tmp_path / "status").write_text("Name: python\n")
    assert extra_memory(lambda: None) is None


def test_the_allocator_is_left_alone_where_it_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with keeping_freed_memory() as kept:
        assert kept in (True, False)

    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(memory.ctypes, "CDLL", absent)
    with keeping_freed_memory() as kept:
        assert kept is False
    assert memory.give_back_freed_memory() is False
