"""Colours to grey and to label ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from anyscope.errors import BadInput, Subject
from anyscope.images.stored import Array

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""


def luminance(colours: Array) -> Array:
    """Grey of an RGB image, weighted by ITU-R BT.601; integers are rounded, the dtype stays.

    Args:
        colours: (c, z, y, x) with red, green, blue and possibly alpha, which is dropped.

    Returns:
        (1, z, y, x).

    >>> int(luminance(np.full((3, 1, 1, 1), 7, np.uint8))[0, 0, 0, 0])
    7
    """
    red, green, blue = (channel.astype(np.float64) for channel in colours[:3])
    with np.errstate(all="ignore"):
        # Written as a difference to green so that equal channels give exactly their value.
        grey = green + LUMINANCE[0] * (red - green) + LUMINANCE[2] * (blue - green)
        if colours.dtype.kind == "b":
            grey = grey >= 0.5
        elif colours.dtype.kind in "iu":
            grey = np.rint(grey)
        return np.asarray(grey.astype(colours.dtype))[None]


def label_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The integer type in which labels stored as ``dtype`` are read."""
    if dtype.kind == "f":
        return np.dtype(np.int32 if dtype.itemsize <= 4 else np.int64)
    return dtype.newbyteorder("=")


def label_ids(stored: Array, colours: int, subject: Subject) -> Array:
    """Label ids (1, z, y, x) from labels as they were stored.

    Colour-coded labels must have equal channels; floats must be whole numbers. Alpha is dropped.
    """
    if colours in (3, 4) and not ((stored[0] == stored[1]).all() and (stored[0] == stored[2]).all()):
        expected = "one number for each object, or three equal channels"
        raise BadInput(subject, "labels are colours that differ between channels", expected, "save ids as grey values")
    ids = stored[:1]
    wanted = label_dtype(ids.dtype)
    if ids.dtype.kind == "f":
        # The limits of the integer type are exact in float64; its largest value need not be.
        low, high = float(np.iinfo(wanted).min), float(np.iinfo(wanted).max)
        whole = np.isfinite(ids)
        with np.errstate(all="ignore"):
            whole &= (ids == np.rint(ids)) & (ids.astype(np.float64) >= low) & (ids.astype(np.float64) < high)
        if not whole.all():
            example = ids[~whole].flat[0]
            raise BadInput(subject, f"labels hold the number {example}", "whole numbers", "is this an image?")
    return np.ascontiguousarray(ids.astype(wanted, copy=False))
