"""What the data doctor complains about, for tests."""

import numpy as np
import pytest

from lookwider.errors import DataError

LABEL = np.tile(np.array([[0, 0, 1, 1, 2, 2, 0, 1]], np.uint8), (6, 1))


def reason(report) -> str:
    """Return all that a report complains about, one a line."""
    lines = [f"{bad.path}: {bad.reason}" for bad in report.bad] + list(report.problems)
    return "\n".join(lines)


def assert_unusable(report, match: str):
    assert not report.usable
    with pytest.raises(DataError, match=match):
        raise DataError(reason(report))
