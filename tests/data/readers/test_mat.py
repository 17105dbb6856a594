import numpy as np
import pytest
import scipy.io

from lookwider.data.labels import read_stored
from lookwider.errors import DataError

LABEL = np.array([[0, 1, 2], [400, 5, 459]])


@pytest.mark.parametrize(
    "content",
    [
        {"LabelMap": LABEL.astype(np.uint16)},
        {"S": LABEL.astype(np.float64)},
        {"GTcls": {"Segmentation": LABEL.astype(np.int32), "Boundaries": 0}},
    ],
)
def test_the_three_variables(tmp_path, content):
    scipy.io.savemat(tmp_path / "a.mat", content)
    stored = read_stored(tmp_path / "a.mat")
    assert stored.encoding == "index"
    np.testing.assert_array_equal(stored.values, LABEL)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": LABEL}, "holds other, expected one of GTcls, LabelMap, S"),
        ({"S": np.ones((2, 3, 4))}, r"S is float64 of shape \(2, 3, 4\)"),
        ({"S": LABEL * 0.3}, "S holds fractions"),
        ({"S": "text"}, "expected numbers"),
    ],
)
def test_wrong_content(tmp_path, content, message):
    scipy.io.savemat(tmp_path / "a.mat", content)
    with pytest.raises(DataError, match=message):
        read_stored(tmp_path / "a.mat")


def test_damage(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"S": LABEL})
    whole = (tmp_path / "a.mat").read_bytes()
    for name, data in {"cut": whole[:150], "empty": b"", "text": b"hello " * 90}.items():
        (tmp_path / f"{name}.mat").write_bytes(data)
        with pytest.raises(DataError, match=f"{name}.mat: (damaged|holds)"):
            read_stored(tmp_path / f"{name}.mat")
    with pytest.raises(DataError, match=r"none\.mat: no such file"):
        read_stored(tmp_path / "none.mat")
