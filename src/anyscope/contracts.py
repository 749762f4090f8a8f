"""What the parts of anyscope know of each other.

The contract of the network itself stands where it is used: :class:`anyscope.inference.network.Network`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import unknown_name

Task = Literal["semantic", "instances"]
Labels = NDArray[np.integer]
Unit = NDArray[np.float32]
"""An image after the intensity convention: float32 in 0..1, axes (channel, z, y, x)."""


@dataclass(frozen=True)
class Prediction:
    """What a predictor says about one image.

    Args:
        labels: (z, y, x); 0/1 for a binary mask, class numbers for several classes, object ids for instances.
        probability: Foreground probability (z, y, x) float32 in 0..1, or None where the predictor has none.
        notes: Remarks for the user, one line each.
    """

    labels: Labels
    probability: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Head:
    """One kind of map that a segmenter predicts for every pixel.

    Args:
        name: Its name in settings and specs.
        activation: What turns its logits into values: ``sigmoid`` (0..1) or ``tanh`` (-1..1). The mask head with more
            than two classes uses a softmax over its channels instead.
        meaning: One sentence for the user.
    """

    name: str
    activation: Literal["sigmoid", "tanh"]
    meaning: str


HEADS = {
    head.name: head
    for head in (
        Head("mask", "sigmoid", "probability that a pixel is foreground, or of each class"),
        Head("boundary", "sigmoid", "probability that a pixel lies on the rim of an object"),
        Head("distance", "tanh", "tanh of the signed distance to the nearest object rim, positive inside"),
    )
}
"""Heads by name. A segmenter lists its heads in order; their channels are concatenated in that order, one channel
each, except a mask head of K > 2 classes, which has K."""


def head_channels(heads: Sequence[str], classes: int) -> dict[str, slice]:
    """The channels of each head within the logits.

    >>> head_channels(["mask", "boundary"], classes=2)
    {'mask': slice(0, 1, None), 'boundary': slice(1, 2, None)}
    """
    slices, first = {}, 0
    for name in heads:
        if name not in HEADS:
            raise unknown_name("head", name, HEADS)
        width = classes if name == "mask" and classes > 2 else 1
        slices[name] = slice(first, first + width)
        first += width
    return slices
