from hypothesis import given, settings
from hypothesis import strategies as st

from lookwider.data.readers.splits import held_out, hold_out, split_of


def test_spellings():
    assert [split_of(n) for n in ("train", "Training", "valid", "TEST", "trainval", "x")] == [
        *("train", "train", "val", "test", "trainval", None)
    ]


@settings(max_examples=40)
@given(st.lists(st.text(max_size=8), unique=True, max_size=60), st.randoms())
def test_the_hold_out_is_a_tenth_whatever_the_order(names, random):
    chosen = held_out(names)
    shuffled = list(names)
    random.shuffle(shuffled)
    assert held_out(shuffled) == chosen
    assert len(chosen) == (0 if len(names) < 2 else max(1, round(len(names) / 10)))
    assert sorted(hold_out(names, "train") + hold_out(names, "val")) == sorted(names)
    assert set(hold_out(names, "val")) == chosen
