import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lookwider.errors import CheckpointError
from lookwider.training.state import pack, unpack

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers()
STATES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(STATES)
def test_nested_state_comes_back_the_same(state: object) -> None:
    assert unpack(*pack(state)) == state


def test_tensors_keep_bits_type_and_strides() -> None:
    state = {
        "momentum": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "step": torch.tensor(3.0, dtype=torch.float64),
        "half": [torch.randn(3).to(torch.bfloat16)],
        "nan": math.nan,
    }
    packed, tensors = pack(state)
    assert all(tensor.is_contiguous() for tensor in tensors.values())
    back = unpack(packed, tensors)
    assert torch.equal(back["momentum"], state["momentum"])
    assert back["momentum"].stride() == state["momentum"].stride()
    assert back["step"].dtype == torch.float64
    assert torch.equal(back["half"][0], state["half"][0])
    assert math.isnan(back["nan"])


def test_marks_within_names_are_kept_apart() -> None:
    state = {"$tensor": ["a", None], "$tuple": [1]}
    assert unpack(*pack(state)) == state


class Anything:
    pass


def test_anything_else_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"state\.a\.1: got a .*Anything, .* never pickled"):
        pack({"a": [1, Anything()]})
    with pytest.raises(CheckpointError, match=r"got the key \(1,\), expected text or an integer"):
        pack({(1,): 2})
    with pytest.raises(CheckpointError, match=r"got a builtins\.set"):
        pack({"a": {1}})


def test_missing_tensor_and_wrong_strides() -> None:
    packed, tensors = pack({"a": torch.randn(2, 3).t()})
    with pytest.raises(CheckpointError, match=r"'state\.a' of the training state is missing"):
        unpack(packed, {})
    packed["a"]["$tensor"][1] = [1]
    with pytest.raises(CheckpointError, match="does not fit the strides"):
        unpack(packed, tensors)
