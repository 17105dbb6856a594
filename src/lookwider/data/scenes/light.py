"""The light of an outdoor scene: the same draw for every kind of scene."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lookwider.data.scenes.drawing import Rgb, mix


@dataclass(frozen=True)
class Light:
    """Colours of one time of day.

    Attributes:
        zenith: the sky at the top.
        low: the sky at the horizon.
        sun: the sun's disc and glow.
        tint: what the light does to every surface.
        mist: the neutral haze around boats and cars.
        cloud: the lit side of clouds.
        lit: share of windows with a lamp behind.
        sun_height: where the sun stands, 0 at the horizon, 1 at the top.
    """

    zenith: Rgb
    low: Rgb
    sun: Rgb
    tint: Rgb
    mist: Rgb
    cloud: Rgb
    lit: float
    sun_height: float


LIGHTS = (
    Light(  # noon
        zenith=(0.20, 0.47, 0.83),
        low=(0.74, 0.87, 0.96),
        sun=(1.0, 0.98, 0.86),
        tint=(1.0, 1.0, 0.98),
        mist=(0.80, 0.82, 0.83),
        cloud=(1.0, 1.0, 1.0),
        lit=0.12,
        sun_height=0.75,
    ),
    Light(  # morning
        zenith=(0.38, 0.60, 0.86),
        low=(0.99, 0.88, 0.76),
        sun=(1.0, 0.94, 0.75),
        tint=(1.0, 0.95, 0.88),
        mist=(0.80, 0.79, 0.78),
        cloud=(1.0, 0.95, 0.90),
        lit=0.2,
        sun_height=0.45,
    ),
    Light(  # golden hour
        zenith=(0.28, 0.36, 0.66),
        low=(1.0, 0.68, 0.40),
        sun=(1.0, 0.86, 0.52),
        tint=(0.96, 0.82, 0.68),
        mist=(0.73, 0.69, 0.66),
        cloud=(1.0, 0.78, 0.62),
        lit=0.45,
        sun_height=0.2,
    ),
    Light(  # dusk
        zenith=(0.09, 0.11, 0.32),
        low=(0.87, 0.46, 0.48),
        sun=(1.0, 0.66, 0.46),
        tint=(0.58, 0.55, 0.72),
        mist=(0.47, 0.46, 0.52),
        cloud=(0.78, 0.50, 0.58),
        lit=0.65,
        sun_height=0.1,
    ),
)


def draw_light(rng: np.random.Generator) -> Light:
    """Draw a light: noon twice as often as morning, golden hour and dusk, none twice the same."""
    light = LIGHTS[(0, 0, 1, 2, 3)[int(rng.integers(5))]]
    other = LIGHTS[int(rng.integers(len(LIGHTS)))]
    share = 0.15 * float(rng.random())
    return replace(
        light,
        zenith=mix(light.zenith, other.zenith, share),
        low=mix(light.low, other.low, share),
        sun_height=light.sun_height + 0.2 * (float(rng.random()) - 0.5),
    )
