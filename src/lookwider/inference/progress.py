"""Progress of work over images: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
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
        self.note = ""
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
        self.note = printable(note)
        self.bar.update(self.task, advance=images, note=self.note)
        left = (time.monotonic() - self.started) / self.done * (self.total - self.done)
        self._line(f"about {left:.0f} s left", self.note)

    def within(self, note: str) -> None:
        """Tell of progress within an image, beside the last note."""
        note = printable(note)
        self.bar.update(self.task, note=f"{self.note}   {note}" if self.note else note)
        self._line(note)

    def windows_of(self, image: str) -> Callable[[int, int], None]:
        """Return what tells of the windows of an image: how many are done, and of how many."""
        return lambda done, windows: self.within(f"{image}: window {done} of {windows}")

    def _line(self, *parts: str) -> None:
        """Print a line now and then where there is no terminal."""
        now = time.monotonic()
        if self.show and not self.console.is_terminal and now - self.last_line >= LINE_SECONDS:
            self.last_line = now
            line = f"{self.what}: {self.done} of {self.total} images"
            self.console.print(", ".join((line, *filter(None, parts))), markup=False)


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
