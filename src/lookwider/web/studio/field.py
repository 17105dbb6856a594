"""The empirical field of one pixel, coarse enough to be waited for."""

from __future__ import annotations

import time
from contextlib import nullcontext

from lookwider.inference.memory import memory_advice
from lookwider.probes.fields import MeasuredField, empirical_field
from lookwider.probes.network import Network
from lookwider.web.studio.context import check_whole
from lookwider.web.studio.segmented import WHOLE_PIXELS, Pixels, Tell, Turn

WINDOWS_ACROSS = 8
"""Windows of noise along the shorter side of an image."""

BATCH = 4


def coarse_field(
    network: Network,
    image: Pixels,
    at: tuple[int, int],
    *,
    most_pixels: int = WHOLE_PIXELS,
    turn: Turn = nullcontext,
    tell: Tell = lambda share, words: None,
) -> MeasuredField:
    """Measure the empirical field of a pixel's scores with few, large windows of noise.

    Args:
        network: to probe.
        image: (H, W, C) in RGB order.
        at: (row, column) of the pixel.
        most_pixels: larger images are refused.
        turn: held while the network computes; between batches others may.
        tell: told how far it is.

    Raises:
        ConfigError: the pixel lies outside the image.
        LookwiderError: the image is too large, or does not fit the network.
    """
    check_whole(image, "measuring a field", most_pixels)
    window = max(1, round(min(image.shape[:2]) / WINDOWS_ACROSS))
    tell(0.0, "covering the picture with noise")
    turns = _Turns(turn)
    started = time.monotonic()

    def on_progress(done: int, planned: int) -> None:
        seconds = (time.monotonic() - started) / done * (planned - done)
        tell(done / planned, f"noise on {done} of {planned} places, about {seconds:.0f} s left")
        turns.pass_on()

    with turns, memory_advice("image"):
        return empirical_field(
            network,
            image,
            at,
            window=window,
            stride=max(1, window // 2),
            draws=1,
            batch_size=BATCH,
            on_progress=on_progress,
        )


class _Turns:
    """Holds the device, and gives it to others for a moment between batches."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._held = turn()

    def __enter__(self) -> None:
        self._held.__enter__()

    def __exit__(self, *failure: object) -> None:
        self._held.__exit__(None, None, None)

    def pass_on(self) -> None:
        self.__exit__()
        time.sleep(0.001)  # without it, those who wait would hardly ever be first
        self._held = self._turn()
        self._held.__enter__()
