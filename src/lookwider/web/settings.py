"""What the service accepts, how much it holds, and who may ask."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from lookwider.errors import ConfigError
from lookwider.images import MAX_PIXELS

SHORTEST_TOKEN = 16
"""Characters of a token; shorter ones can be guessed."""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""What a browser on the same machine calls it."""


@dataclass(frozen=True)
class ServiceSettings:
    """How a service behaves; every limit is checked before the work that it limits.

    Attributes:
        host: address to listen on.
        port: of the address.
        token: that every request has to carry; None for no such check.
        max_bytes: of a request's body.
        max_pixels: of an image, checked before it is decoded.
        max_memory: bytes for images that wait and for the network together, beyond its weights.
            Images that the network cannot take whole within half of it go in tiles.
        queue: requests that may be there at once; more are answered with 429.
        timeout: seconds from a request's first byte to its answer.
        max_batch: images that go through the network at once.
        batch_pixels: so many pixels at most go through at once, when it is several images.
        batch_wait: seconds to wait for further images of the same size.

    Raises:
        ConfigError: a number is not positive or a limit beyond what can be kept to, or the token
            is short or not plain ASCII.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    max_bytes: int = 50_000_000
    max_pixels: int = 50_000_000
    max_memory: int = 4_000_000_000
    queue: int = 64
    timeout: float = 60.0
    max_batch: int = 8
    batch_pixels: int = 1_000_000
    batch_wait: float = 0.005

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pixels", "max_memory", "queue", "timeout", "max_batch"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"got {name}={getattr(self, name)}, expected a positive number")
        if self.max_pixels > MAX_PIXELS:
            raise ConfigError(
                f"got max_pixels={self.max_pixels}, expected at most {MAX_PIXELS}; larger images "
                "are segmented from files: lookwider predict --max-memory 4GB"
            )
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"got port {self.port}, expected 0 to 65535")
        if self.token is not None and not _good_token(self.token):
            raise ConfigError(
                f"got a token of {len(self.token)} characters, expected at least {SHORTEST_TOKEN} "
                "letters, digits or signs without spaces; make one with: "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can reach it.

        Example:
            >>> ServiceSettings().is_loopback, ServiceSettings(host="0.0.0.0").is_loopback
            (True, False)
        """
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def _good_token(token: str) -> bool:
    return (
        len(token) >= SHORTEST_TOKEN
        and token.isascii()
        and token.isprintable()
        and (" " not in token)
    )
