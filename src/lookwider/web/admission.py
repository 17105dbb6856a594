"""Which images are let in: so many at once, and so many bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lookwider.web.problems import ProblemError
from lookwider.web.settings import ServiceSettings

FIRST_RATE = 500_000.0
"""Pixels a second, guessed until something was computed."""


class Held:
    """Bytes that one request holds.

    Args:
        admission: whose room they take.

    Attributes:
        total: so many.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission, self.total = admission, 0

    def add(self, count: int) -> None:
        """Hold more.

        Raises:
            ProblemError: 429 when others hold too much, 413 when this alone is too much.
        """
        self._admission.make_room(self.total, count)
        self.total += count


class Admission:
    """The room for images that are read, wait, or are computed.

    Args:
        settings: how much there is: half of ``max_memory``, for ``queue`` images.
        waiting_pixels: tells how many there are before the network.

    Attributes:
        count: images that are in.
        held: their bytes.
        draining: whether no image is let in any more.
        rate: pixels a second that the network does.
    """

    def __init__(self, settings: ServiceSettings, waiting_pixels: Callable[[], int]) -> None:
        self._settings, self._waiting_pixels = settings, waiting_pixels
        self.count, self.held = 0, 0
        self.draining = False
        self.rate = FIRST_RATE

    @contextmanager
    def one(self) -> Iterator[Held]:
        """Let an image in until the block ends.

        Raises:
            ProblemError: 429 when the queue is full, 503 when the service ends.
        """
        if self.draining:
            raise ProblemError(
                503,
                "Shutting down",
                got="an image while the service ends",
                expected="one before that",
                fix="send it again, to the service that takes its place",
                retry_after=self._settings.timeout,
                closes=True,
            )
        if self.count >= self._settings.queue:
            raise self._busy(f"{self.count} images")
        held = Held(self)
        self.count += 1
        try:
            yield held
        finally:
            self.count -= 1
            self.held -= held.total

    def make_room(self, total: int, count: int) -> None:
        """Take more bytes for an image that holds some; see `Held.add`."""
        room = self._settings.max_memory // 2
        if total + count > room:
            raise ProblemError(
                413,
                "Image too large",
                got=f"an image that takes {(total + count) / 1e6:,.0f} MB",
                expected=f"at most {room / 1e6:,.0f} MB",
                fix="make it smaller, or cut it into parts",
                closes=True,
            )
        if self.held + count > room:
            raise self._busy("as many images as there is memory for")
        self.held += count

    def expected_wait(self) -> float:
        """Return in how many seconds what waits will be done, about."""
        return min(self._waiting_pixels() / self.rate, self._settings.timeout)

    def _busy(self, what: str) -> ProblemError:
        return ProblemError(
            429,
            "Queue full",
            got=f"one more image, with {what} waiting",
            expected="fewer at once",
            fix="send it again after the seconds in Retry-After",
            retry_after=self.expected_wait(),
            closes=True,
        )
