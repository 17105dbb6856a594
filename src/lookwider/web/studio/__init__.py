"""The studio: a page to look at images through the served networks."""

from lookwider.web.studio.page import mount

__all__ = ["mount"]
