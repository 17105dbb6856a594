"""The two consoles: results on standard output, progress and messages on standard error."""

from __future__ import annotations

from typing import Any

from rich.console import Console

BROKEN_PIPE = 141
"""Exit code when the reader of standard output is gone: 128 and SIGPIPE."""


class Results(Console):
    """Standard output, which knows whether anything was printed.

    Attributes:
        used: whether it was; with ``--json`` an error is printed only where no result is.
    """

    used = False

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as any console."""
        self.used = True
        super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """End as programs do that write to a pipe nobody reads."""
        try:
            super().on_broken_pipe()
        except SystemExit as ended:
            raise SystemExit(BROKEN_PIPE) from ended


# Colons in names of files are no emoji.
out = Results(highlight=False, soft_wrap=True, emoji=False)
messages = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
