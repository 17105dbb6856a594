"""``lookwider predict --max-memory``: images in tiles, as options and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookwider.errors import ConfigError

if TYPE_CHECKING:
    from lookwider.inference.large import LargeReport, Tiling


def parse_tiling(
    max_memory: str | None, tile: int | None, halo: int | None, own_context: bool
) -> Tiling | None:
    """Return what the options say of tiles; None where they ask for none.

    Raises:
        ConfigError: they do not go together.
    """
    from lookwider.inference.large import Tiling, parse_memory

    if max_memory is None and tile is None:
        if halo is not None or own_context:
            given = "--own-context" if own_context else f"--halo {halo}"
            raise ConfigError(f"got {given} without tiles; add --max-memory 4GB or --tile 1024")
        return None
    if halo is not None and own_context:
        raise ConfigError(
            f"got --halo {halo} with --own-context, whose tiles are whole images of their own; "
            "leave out one of the two"
        )
    memory = None if max_memory is None else parse_memory(max_memory)
    return Tiling(max_memory=memory, tile=tile, halo=halo, own_context=own_context)


def in_words(large: LargeReport) -> str:
    """Return how an image was segmented in tiles."""
    height, width = large.tile
    words = [
        f"{large.name}: {large.tiles} tiles of {height} x {width} pixels",
        "one pass" if large.passes == 1 else f"{large.passes} passes",
    ]
    if large.halo_needed is None:
        words.append("each with its own context")
    elif large.exact:
        words.append(f"exact, with {large.halo} pixels around each")
    else:
        words.append(
            f"NOT exact: {100 * large.share_cut:.1f} % of the places see less than in the whole "
            f"image, with {large.halo} pixels around each; --halo {large.halo_needed} is exact"
        )
    if large.other_colours:
        words.append(
            "too large to be decoded whole: a JPEG's colours may be a few levels off, and so some "
            "labels other than in one piece"
        )
    if large.finished_before:
        words.append(f"{large.finished_before} finished before")
    if large.peak_memory is not None:
        words.append(f"at most {large.peak_memory / 1e9:.2f} GB")
    return ", ".join(words)
