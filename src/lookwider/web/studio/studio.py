"""The studio without its page: what is asked for in, what is to be shown out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from lookwider.errors import LookwiderError, MissingExtraError
from lookwider.probes.network import Network
from lookwider.probes.swap import Replacement, Zeros
from lookwider.web.models import ServedModels
from lookwider.web.problems import ProblemError
from lookwider.web.settings import ServiceSettings
from lookwider.web.studio.context import check_whole, segment_swapped
from lookwider.web.studio.field import coarse_field
from lookwider.web.studio.segmented import Segmented, Tell, segment
from lookwider.web.studio.sessions import Opened, Pane, Probed, Session, Sessions
from lookwider.web.studio.views import field_view, point_view, session_view
from lookwider.web.studio.wishes import Place, Wish, understood
from lookwider.web.studio.work import Done, Progress, StoppedError

log = logging.getLogger("lookwider.web")

NO_CONTEXT = Zeros("nothing")

Update = dict[str, Any]
"""Properties of the page that change: ``progress``, ``value``, ``point``."""


class Studio:
    """What the page asks for.

    Args:
        models: to look through.
        settings: limits on images.
    """

    def __init__(self, models: ServedModels, settings: ServiceSettings) -> None:
        self.models, self.settings = models, settings
        self.sessions = Sessions()
        self._networks: dict[str, Network] = {}

    def show(self, page: str, data: object) -> Iterator[Update]:
        """Open images, segment them as wished, and say what to draw.

        Args:
            page: the browser's name for it.
            data: a `Wish`.
        """
        session = self.sessions.of(page)

        def task(tell: Tell) -> Update:
            wish = understood(Wish, data)
            self._open(session, wish, tell)
            panes = [self._pane(session, *one, tell) for one in self._wanted(session, wish)]
            tell(1.0, "drawing")  # not when something else was asked for since
            session.shown = panes
            return {"value": session_view(session), "point": None}

        yield from self._done(session, task)

    def probe(self, page: str, data: object) -> Iterator[Update]:
        """Tell the likeliest classes of a pixel at once, and its field when it is measured.

        Args:
            page: the browser's name for it.
            data: a `Place`.
        """
        session = self.sessions.of(page)

        def task(tell: Tell) -> Update:
            place, pane = self._place(session, data)
            network = self._network(pane.model, tell)
            image = pane.segmented.prediction.image
            assert image is not None
            measured = coarse_field(
                network, image, (place.row, place.col), turn=self.models.computing, tell=tell
            )
            session.probed = Probed(measured)
            return {"point": point_view(place, pane) | field_view(session.probed, pane)}

        yield from self._done(session, task, lambda: point_view(*self._place(session, data)))

    def stop(self, page: str) -> None:
        """Stop what goes on for a page."""
        self.sessions.of(page).stop()

    def _done(
        self,
        session: Session,
        task: Callable[[Tell], Update],
        at_once: Callable[[], Update] | None = None,
    ) -> Iterator[Update]:
        """Do a task; errors become words that help, and no page waits for ever."""
        work = session.begin()
        try:
            if at_once is not None:
                yield {"point": at_once()}
            for news in work.run(task):
                if work is not session.work:
                    return  # the page has asked for something else since
                match news:
                    case Progress(share, words):
                        yield {"progress": {"state": "busy", "share": share, "words": words}}
                    case Done(update):
                        yield {**update, "progress": {"state": "idle", "words": ""}}
        except StoppedError:
            if work is session.work:
                yield _ended("stopped", "Stopped.")
        except (LookwiderError, MissingExtraError, ProblemError) as error:
            yield _ended("error", str(error))
        except Exception:
            log.exception("the studio failed")
            yield _ended(
                "error", "Something is wrong in the studio itself; the server's log says more."
            )

    def _open(self, session: Session, wish: Wish, tell: Tell) -> None:
        if wish.other is not None:
            tell(0.0, "opening the other picture")
            other = wish.other.open(self.settings.max_pixels)
            tell(0.0, f"opened {other.name}")  # as above
            session.borrow(other)
        if wish.image is not None:
            tell(0.0, "opening the picture")
            image = wish.image.open(self.settings.max_pixels)
            tell(0.0, f"opened {image.name}")
            session.look_at(image)

    def _wanted(self, session: Session, wish: Wish) -> list[tuple[str, Replacement | None]]:
        """Return which networks to show, each with what stands in for its context."""
        first: tuple[str, Replacement | None] = (wish.model, None)
        if wish.against == "model" and wish.rival is not None:
            return [first, (wish.rival, None)]
        if wish.against == "zeros":
            return [first, (wish.model, NO_CONTEXT)]
        if wish.against == "other":
            if session.other is None:
                raise LookwiderError(
                    "got no picture to take the context of, expected one; choose it"
                )
            check_whole(session.other.image, "lending its context")
            return [first, (wish.model, session.other.context)]
        return [first]

    def _pane(
        self, session: Session, name: str, replacement: Replacement | None, tell: Tell
    ) -> Pane:
        """Return a pane, computed unless it was before."""
        opened = session.image
        if opened is None:
            raise LookwiderError("got no picture to segment, expected one; open it or try a sample")
        how = (opened.token, name, replacement)
        if how not in session.panes:
            found = self._segmented(opened, name, replacement, tell)
            tell(1.0, "segmented")
            session.panes[how] = Pane(found, name, replacement.name if replacement else "")
        return session.panes[how]

    def _segmented(
        self, opened: Opened, name: str, replacement: Replacement | None, tell: Tell
    ) -> Segmented:
        turn = self.models.computing
        if replacement is not None:
            network = self._network(name, tell)
            return segment_swapped(
                network, opened.image, replacement, opened.name, turn=turn, tell=tell
            )
        tell(0.0, f"loading {name}")
        model = self.models[name].fast()
        return segment(model, opened.image, opened.name, turn=turn, tell=tell)

    def _network(self, name: str, tell: Tell) -> Network:
        """Return a network to probe, the same each time: it keeps what it traced."""
        if name not in self._networks:
            tell(0.0, f"loading {name}")
            self._networks[name] = Network(self.models[name].plain(), name=name)
        return self._networks[name]

    def _place(self, session: Session, data: object) -> tuple[Place, Pane]:
        place = understood(Place, data)
        if place.pane >= len(session.shown):
            raise LookwiderError("this picture is not kept any more; open it again")
        pane = session.shown[place.pane]
        height, width = pane.segmented.size
        if place.row >= height or place.col >= width:
            raise LookwiderError(
                f"got row {place.row}, column {place.col}, expected a pixel of the image of "
                f"{height} x {width}; choose one in the picture"
            )
        return place, pane


def _ended(state: str, words: str) -> Update:
    return {"progress": {"state": state, "words": words}}
