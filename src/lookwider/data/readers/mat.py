"""Labels in MATLAB files: SBD, PASCAL-Context and SIFT Flow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.io

from lookwider.errors import DataError

MAT_LABELS = ("GTcls", "LabelMap", "S")
"""The variables that hold a label map: of SBD, of PASCAL-Context, of SIFT Flow."""


def read_mat_label(path: Path) -> npt.NDArray[np.integer]:
    """Read the label map of a .mat file as (H, W) integers.

    Raises:
        DataError: the file is missing, damaged, or holds none of the known variables.
    """
    if not path.is_file():
        raise DataError(f"label {path}: no such file")
    try:
        content = scipy.io.loadmat(str(path), appendmat=False, struct_as_record=False)
    except Exception as error:  # SciPy raises many kinds on damaged files
        raise DataError(f"label {path}: damaged or not a MATLAB 5 file: {error}") from error
    held = [name for name in MAT_LABELS if name in content]
    if not held:
        names = [name for name in content if not name.startswith("__")]
        raise DataError(
            f"label {path}: holds {', '.join(names) or 'nothing'}, expected one of "
            f"{', '.join(MAT_LABELS)}"
        )
    array = np.asarray(content[held[0]])
    if array.shape == (1, 1) and hasattr(array[0, 0], "Segmentation"):
        array = np.asarray(array[0, 0].Segmentation)
    if array.ndim != 2 or array.dtype.kind not in "iuf" or 0 in array.shape:
        raise DataError(
            f"label {path}: {held[0]} is {array.dtype} of shape {array.shape}, "
            "expected numbers (H, W)"
        )
    if array.dtype.kind == "f":  # MATLAB's own default for whole numbers is double
        if not np.array_equal(array, np.round(array)):
            raise DataError(f"label {path}: {held[0]} holds fractions, expected whole numbers")
        array = array.astype(np.int32)
    return array
