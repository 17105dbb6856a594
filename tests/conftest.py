"""Fixtures shared by all tests: figures of the released networks and real road scenes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def facts() -> Callable[[str], Any]:
    """Return a reader of the released networks' figures; skips where they are absent."""

    def read(name: str) -> Any:
        path = SHARED / "facts" / f"{name}.json"
        if not path.is_file():
            pytest.skip(f"the figures of the released networks are not beside the checkout: {name}")
        return json.loads(path.read_text())

    return read


@pytest.fixture(scope="session")
def camvid() -> Path:
    """Return the CamVid folder; skips where it is absent."""
    path = SHARED / "data" / "camvid"
    if not path.is_dir():
        pytest.skip("the CamVid road scenes are not beside the checkout")
    return path
