"""The engine is tested whatever is switched off for the other tests."""

import pytest

from lookwider.kernels.switches import VARIABLE


@pytest.fixture(scope="module", autouse=True)
def all_paths():
    """Use every fast path; tests switch off what they compare with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE, raising=False)
        yield
