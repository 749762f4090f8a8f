"""The maps of a network, by head: what decoders read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import HeadLayout
from anyscope.errors import BadInput

Maps = Mapping[str, NDArray[np.float32]]
"""Activated maps by head, each (z, y, x); the mask of K > 2 classes is (K, z, y, x), its channels adding up to 1;
affinities are (offsets, z, y, x)."""

_RANGES = {
    "mask": (0.0, 1.0),
    "boundary": (0.0, 1.0),
    "distance": (-1.0, 1.0),
    "affinities": (0.0, 1.0),
    "centre": (0.0, 1.0),
}
_AXES = {"mask": (3, 4), "affinities": (4,)}
"""Numbers of axes; 3 where nothing is said."""
_TOLERANCE = 1e-3


def split_maps(maps: NDArray[np.float32], layout: HeadLayout) -> dict[str, NDArray[np.float32]]:
    """The channels of each head as views.

    Args:
        maps: Activated maps (K, z, y, x).
        layout: Which of the K channels are whose.
    """
    if maps.ndim != 4 or maps.shape[0] != layout.channels:
        expected = f"({layout.channels}, z, y, x) for the heads {', '.join(layout.heads)}"
        raise BadInput("maps", f"shape {maps.shape}", expected)
    several = {head for head in layout.heads if layout.has_classes(head) or head == "affinities"}
    return {head: maps[part] if head in several else maps[part.start] for head, part in layout.logits.items()}


def foreground_probability(maps: Maps) -> NDArray[np.float32]:
    """Probability (z, y, x) that a pixel belongs to any class but the background (class 0)."""
    mask = maps["mask"]
    return mask if mask.ndim == 3 else np.float32(1.0) - mask[0]


def check_maps(maps: Maps) -> None:
    """Refuse maps without a mask, of different shapes, or with values that no activation gives."""
    if "mask" not in maps:
        raise BadInput("maps", f"heads {', '.join(maps) or 'none'}", "a mask among them")
    shape = maps["mask"].shape[-3:]
    if 0 in shape:
        raise BadInput("maps", f"shape {shape}", "at least one voxel")
    for head, values in maps.items():
        axes = _AXES.get(head, (3,))
        if values.ndim not in axes or values.shape[-3:] != shape:
            channels = "channels beside " if axes == (4,) else ""
            raise BadInput(f"map {head!r}", f"shape {values.shape}", f"{channels}(z, y, x) = {shape} like the mask")
        low, high = _RANGES.get(head, (-np.inf, np.inf))
        if values.size and not (values.min() >= low - _TOLERANCE and values.max() <= high + _TOLERANCE):
            found = f"values {values.min():.3g} to {values.max():.3g}"
            raise BadInput(f"map {head!r}", found, f"finite values in {low:g} to {high:g}: logits must be activated")
