"""Progress of work over images: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LINE_SECONDS = 30.0
"""Between two lines where there is no terminal to draw on."""


class ImageProgress:
    """Shows images done, rate, time left and a note such as the mean IoU so far.

    Args:
        what: words for the work, e.g. ``"evaluating"``.
        total: number of images.
        console: where to show it; standard error when None.
        show: False shows nothing.
    """

    def __init__(
        self, what: str, total: int, console: Console | None = None, *, show: bool = True
    ) -> None:
        self.console = Console(stderr=True) if console is None else console
        self.what, self.total, self.show = what, total, show
        self.done = 0
        self.started = self.last_line = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.console,
            transient=True,
            disable=not (show and self.console.is_terminal),
        )
        self.task = self.bar.add_task(what, total=total, note="")

    def __enter__(self) -> ImageProgress:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def advance(self, images: int = 1, note: str = "") -> None:
        """Count images as done."""
        self.done += images
        note = printable(note)
        self.bar.update(self.task, advance=images, note=note)
        now = time.monotonic()
        if self.show and not self.console.is_terminal and now - self.last_line >= LINE_SECONDS:
            self.last_line = now
            left = (now - self.started) / self.done * (self.total - self.done)
            line = f"{self.what}: {self.done} of {self.total} images, about {left:.0f} s left"
            self.console.print(f"{line}, {note}" if note else line, markup=False)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} images/s")


def printable(text: str) -> str:
    r"""Return text that every terminal takes: bytes of a file name that are no text, escaped.

    Example:
        >>> printable("caf\udce9.png")
        'caf\\udce9.png'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
