"""The two consoles: results on standard output, progress and messages on standard error."""

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
messages = Console(stderr=True, highlight=False, soft_wrap=True)
