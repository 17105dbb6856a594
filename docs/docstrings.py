"""An extension of the reference's reader of docstrings."""

from __future__ import annotations

import re
from typing import Any

import griffe


class ExamplesAsCode(griffe.Extension):
    """Show ``Example:`` as code: the reader only knows the plural as a section of code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Put the section's heading into the plural."""
        if obj.docstring is not None:
            value = obj.docstring.value
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", value, flags=re.M)
