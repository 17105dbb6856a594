"""One finding about an installation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "note", "broken"]
"""``"note"`` works, and could be better; ``"broken"`` does not work."""


@dataclass(frozen=True)
class Finding:
    """What was found, and what to do about it.

    Attributes:
        name: what was looked at.
        found: in words.
        state: whether it works.
        advice: what to do; empty where there is nothing to do.
    """

    name: str
    found: str
    state: State = "good"
    advice: str = ""
