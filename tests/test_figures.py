"""Figures as PNG files: names with dollar signs stay as they are."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Patch
from matplotlib.text import Text

from lookwider.figures import png

NAME = "x$_{y$"


def named(name):
    figure = Figure(figsize=(3, 3), dpi=80)
    figure.set_layout_engine("constrained")
    figure.suptitle(name)
    first, second = figure.subplots(1, 2)
    first.set_title(name)
    first.set_xticks([0, 1], [name, name])
    second.set_xlabel(name)
    second.annotate(name, (0.5, 0.5))
    figure.legend(handles=[Patch(label=name)], loc="outside lower center")
    return figure


def test_a_name_with_dollar_signs_is_written_as_it_is():
    with pytest.raises(ValueError, match="Expected"):
        named(NAME).savefig(io.BytesIO(), format="png")
    figure = named(NAME)
    assert png(figure).startswith(b"\x89PNG")
    assert not any(text.get_parse_math() for text in figure.findobj(Text))


def test_plain_names_look_as_ever():
    as_ever = io.BytesIO()
    named("plain").savefig(as_ever, format="png", bbox_inches="tight", pad_inches=0.1)
    assert png(named("plain")) == as_ever.getvalue()
    shapes = [imread(io.BytesIO(png(named("plain"), margin=m))).shape for m in (0.1, 0.2)]
    assert np.abs(np.subtract(*shapes[::-1]) - (16, 16, 0)).max() <= 1
