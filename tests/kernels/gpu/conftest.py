"""Which of these tests can run: Triton must be there; kernels need a GPU or its interpreter."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

collect_ignore_glob = []
if importlib.util.find_spec("triton") is None:
    collect_ignore_glob += ["on_device/*", "test_*.py"]
elif INTERPRETED:
    collect_ignore_glob += ["on_device/test_cuda.py"]
elif not torch.cuda.is_available():
    collect_ignore_glob += ["on_device/*"]  # test_interpreted.py runs them


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (Path(__file__).parent / "on_device") in item.path.parents and not INTERPRETED:
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Return where kernels run: tensors stay on the CPU under the interpreter."""
    return torch.device("cpu" if INTERPRETED else "cuda")
