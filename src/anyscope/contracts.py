"""What the parts of anyscope know of each other.

The contract of the network itself stands where it is used: :class:`anyscope.inference.network.Network`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
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


Offset = tuple[int, int, int]
"""From a pixel to another, (z, y, x) in pixels."""


@dataclass(frozen=True)
class Head:
    """One kind of map that a segmenter predicts for every pixel.

    Args:
        name: Its name in settings and specs.
        activation: What turns its logits into values: ``sigmoid`` (0..1) or ``tanh`` (-1..1). The mask head with more
            than two classes uses a softmax over its channels instead.
        meaning: One sentence for the user.
        directed: Whether its values change when the image is turned.
    """

    name: str
    activation: Literal["sigmoid", "tanh"]
    meaning: str
    directed: bool = False


HEADS = {
    head.name: head
    for head in (
        Head("mask", "sigmoid", "probability that a pixel is foreground, or of each class"),
        Head("boundary", "sigmoid", "probability that a pixel lies on the rim of an object"),
        Head("distance", "tanh", "tanh of the signed distance to the nearest object rim, positive inside"),
        Head("centre", "sigmoid", "distance to the centre of the object over the largest one within it, 1 outside"),
        Head("affinities", "sigmoid", "probability that a pixel and the one at an offset share an object", True),
    )
}
"""Heads by name. A segmenter lists its heads in order; their channels are concatenated in that order."""


@dataclass(frozen=True)
class HeadLayout:
    """What a network predicts for every pixel, and which channels are whose.

    A head has one channel, except a mask of K > 2 classes, which has K, and affinities, which have one for each offset.

    Args:
        heads: Names of :data:`HEADS` in the order of their channels.
        classes: Number of classes of the mask, background included.
        offsets: Offsets (z, y, x) of the affinities.

    Raises:
        BadInput: A name is no head.

    >>> HeadLayout(("mask", "affinities"), offsets=((0, 0, 1), (0, 1, 0))).logits
    {'mask': slice(0, 1, None), 'affinities': slice(1, 3, None)}
    """

    heads: tuple[str, ...] = ("mask",)
    classes: int = 2
    offsets: tuple[Offset, ...] = ()

    def __post_init__(self) -> None:
        for name in self.heads:
            if name not in HEADS:
                raise unknown_name("head", name, HEADS)

    @cached_property
    def logits(self) -> dict[str, slice]:
        """The channels of each head within the logits."""
        return self._consecutive(self.classes if self.classes > 2 else 1)

    @cached_property
    def targets(self) -> dict[str, slice]:
        """The channels of each head within the targets, where classes are one channel of class numbers."""
        return self._consecutive(1)

    @property
    def channels(self) -> int:
        """Channels of the logits, summed over the heads."""
        return max(int(part.stop) for part in self.logits.values())

    def has_classes(self, head: str) -> bool:
        """Whether the channels of a head exclude each other: a softmax, not a sigmoid for each."""
        return head == "mask" and self.classes > 2

    def _consecutive(self, of_mask: int) -> dict[str, slice]:
        slices, first = {}, 0
        for name in self.heads:
            width = {"mask": of_mask, "affinities": len(self.offsets)}.get(name, 1)
            slices[name] = slice(first, first + width)
            first += width
        return slices
