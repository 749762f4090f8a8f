"""Number types that a format has, without ever changing a number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput


def convert(array: NDArray[Any], allowed: Sequence[str], path: Path, what: str) -> NDArray[Any]:
    """The array in its own type where that is allowed, else in the smallest allowed type that holds all its numbers.

    Args:
        array: Numbers to write.
        allowed: Types of the format, as ``np.dtype.str[1:]``.
        path: The file, for messages.
        what: ``image`` or ``labels``, for messages.

    Raises:
        BadInput: No allowed type holds the numbers exactly.
    """
    if array.dtype.str[1:] in allowed:
        return array
    candidates = [np.dtype(name) for name in allowed if name != "b1"]
    for dtype in sorted(candidates, key=lambda dtype: (dtype.itemsize, dtype.kind != "u")):
        if array.dtype.kind == "f" and dtype.kind != "f":
            continue  # floats stay floats, even where they are whole
        with np.errstate(all="ignore"):
            changed = array.astype(dtype)
            back = changed.astype(array.dtype)
        if np.array_equal(array, back, equal_nan=array.dtype.kind == "f") and _fits(array, dtype):
            return changed
    formats = ".tif, .h5 or .ome.zarr"
    raise BadInput(
        path, f"{what} of {array.dtype} cannot be held exactly", f"one of {', '.join(allowed)}", f"use {formats}"
    )


def smallest_labels(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels in an integer type that other programs read: uint8 for bool, at most 32 bits wherever they fit."""
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.itemsize <= 4 or not labels.size:
        return labels
    low, high = int(labels.min()), int(labels.max())
    for dtype in (np.uint8, np.uint16, np.uint32, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return labels.astype(dtype)
    return labels


def _fits(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether integers lie within an integer type; casting wraps silently, and wraps back."""
    if array.dtype.kind == "f" or dtype.kind == "f" or array.dtype.kind == "b":
        return True
    limits = np.iinfo(dtype)
    return bool(limits.min <= int(array.min()) and int(array.max()) <= limits.max)
