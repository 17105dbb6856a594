"""The files that hold a diagnosis or a comparison."""

from __future__ import annotations

from pathlib import Path

from lookwider.diagnosis.failures import KINDS

OF_A_DIAGNOSIS = ("diagnosis.json", *(f"{kind}.png" for kind in KINDS), "recall.png")
OF_A_COMPARISON = ("comparison.json", "mended.png", "broken.png")


def remove_earlier(folder: str | Path) -> None:
    """Remove what an earlier diagnosis or comparison wrote into a folder, and nothing else.

    A kind without a failure has no picture, so that of an earlier run would stay.
    """
    folder = Path(folder)
    for name in (*OF_A_COMPARISON, *OF_A_DIAGNOSIS):
        (folder / name).unlink(missing_ok=True)
    for part in ("first", "second"):
        for name in OF_A_DIAGNOSIS:
            (folder / part / name).unlink(missing_ok=True)
