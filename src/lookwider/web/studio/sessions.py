"""What is kept for each open page, in memory and never on the disk."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lookwider.probes.fields import MeasuredField
from lookwider.probes.swap import OtherImage, Replacement
from lookwider.web.studio.segmented import Pixels, Segmented
from lookwider.web.studio.work import Work

MOST_BYTES = 2_000_000_000
"""Kept of all pages together; beyond it, the page that was not used for longest is forgotten."""

MOST_PAGES = 64


def new_token() -> str:
    """Return a name that cannot be guessed."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, eq=False)
class Opened:
    """An image that was opened.

    Attributes:
        image: (H, W, C) in RGB order.
        name: without extension.
        token: that its picture is asked for by.
    """

    image: Pixels
    name: str
    token: str = field(default_factory=new_token)

    @cached_property
    def context(self) -> OtherImage:
        """What stands in for another image's context."""
        return OtherImage(self.image, self.name)


@dataclass(frozen=True, eq=False)
class Pane:
    """One image as one network sees it, ready to be shown.

    Attributes:
        segmented: what it sees.
        model: the network's name.
        context: whose context it has, in words; empty for the image's own.
        token: that its maps and files are asked for by.
    """

    segmented: Segmented
    model: str
    context: str = ""
    token: str = field(default_factory=new_token)


@dataclass(frozen=True, eq=False)
class Probed:
    """The field of a pixel.

    Attributes:
        measured: the field.
        token: that its map is asked for by.
    """

    measured: MeasuredField
    token: str = field(default_factory=new_token)


Shown = Opened | Pane | Probed

How = tuple[str, str, Replacement | None]
"""The token of an image, the name of a network, and what stands in for the context."""


class Session:
    """One open page.

    Attributes:
        image: that is looked at.
        other: whose context is borrowed.
        panes: what was computed of the image, by how.
        shown: the panes on the page.
        probed: the last field.
        work: that goes on, or was the last to.
    """

    def __init__(self) -> None:
        self.image: Opened | None = None
        self.other: Opened | None = None
        self.panes: dict[How, Pane] = {}
        self.shown: list[Pane] = []
        self.probed: Probed | None = None
        self.work = Work()

    def begin(self) -> Work:
        """Stop what goes on, and return new work."""
        self.work.stop()
        self.work = Work()
        return self.work

    def stop(self) -> None:
        """Stop what goes on."""
        self.work.stop()

    def look_at(self, image: Opened) -> None:
        """Take another image; what was computed of the last one is kept while it is shown."""
        self.image, self.panes, self.probed = image, {}, None

    def borrow(self, other: Opened) -> None:
        """Take another context; what was computed with the last one is kept while it is shown."""
        self.other = other
        kept = {how: pane for how, pane in self.panes.items() if not isinstance(how[2], OtherImage)}
        self.panes = kept

    def items(self) -> list[Shown]:
        """Return whatever has a token."""
        found = [self.image, self.other, self.probed, *self._kept()]
        return [item for item in found if item is not None]

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        images = [opened.image for opened in (self.image, self.other) if opened is not None]
        fields = [] if self.probed is None else [self.probed.measured.values]
        arrays = sum(np.asarray(array).nbytes for array in (*images, *fields))
        return arrays + sum(pane.segmented.nbytes for pane in self._kept())

    def _kept(self) -> set[Pane]:
        return {*self.panes.values(), *self.shown}


class Sessions:
    """The open pages, by the name that the browser gave each.

    Args:
        most_bytes: kept of all together.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._pages: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of pages."""
        return len(self._pages)

    def of(self, page: str) -> Session:
        """Return a page's session, a new one when there is none; others may be forgotten."""
        with self._lock:
            session = self._pages.setdefault(page, Session())
            self._pages.move_to_end(page)
            while len(self._pages) > 1 and self._too_much():
                self._pages.popitem(last=False)[1].stop()
            return session

    def forget(self, page: str) -> None:
        """Stop a page's work and forget all of it, as when it was closed."""
        with self._lock:
            session = self._pages.pop(page, None)
        if session is not None:
            session.stop()

    def find(self, token: str) -> Shown | None:
        """Return what a token means; None when it is kept no longer."""
        with self._lock:
            sessions = list(self._pages.values())
        for session in sessions:
            for item in session.items():
                if secrets.compare_digest(item.token.encode(), token.encode()):
                    return item
        return None

    def _too_much(self) -> bool:
        pages = self._pages.values()
        return len(pages) > MOST_PAGES or sum(page.nbytes for page in pages) > self.most_bytes
