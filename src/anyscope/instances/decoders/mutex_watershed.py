"""Objects from affinities alone: neighbours attract each other, distant pixels may forbid it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from anyscope.contracts import Labels, Offset
from anyscope.errors import BadInput
from anyscope.images.components import Ids, Mask
from anyscope.instances.decoders.affinities import (
    Channels,
    channels_of,
    check_affinities,
    cut_boundary,
    held_together,
    neighbour_links,
)
from anyscope.instances.decoders.base import CHECKED, DECODERS, Probability
from anyscope.instances.decoders.finishing import GROWTHS, SIZES, ObjectParameters
from anyscope.instances.decoders.regions import Map, place
from anyscope.instances.maps import Maps, check_maps, foreground_probability

Stride = Annotated[int, Field(ge=1, le=64)]


@DECODERS.register("mutex_watershed")
@dataclass(frozen=True)
class MutexWatershed(ObjectParameters):
    """Mutex watershed of the mask above ``threshold``.

    Links are taken from the strongest to the weakest: a link of neighbours has the strength of its affinity plus
    ``bias`` and joins two regions unless they exclude each other; a longer one has the strength 1 - affinity and makes
    its two regions exclude each other unless they are one already. Regions that no chain of neighbours with affinities
    above ``least_affinity`` holds together fall apart afterwards: two objects that no long link sees would be joined by
    links of next to nothing.

    Args:
        offsets: (dz, dy, dx) of each affinity channel. In 2D those with dz = 0 are read.
        threshold: Mask above it.
        bias: Above 0 joins more, below 0 less.
        least_affinity: Of neighbours within an object.
        strides: (z, y, x): of the long links only those of every such pixel are read. 1 reads all and takes longest.

    Source: Wolf et al., The Mutex Watershed and its Objective, IEEE TPAMI 43:3724 (2020), algorithm 1.
    """

    name: ClassVar[str] = "mutex_watershed"
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "strides": ((1, 2, 2), (1, 4, 4)),
        "bias": (-0.1, -0.05, 0.0, 0.05, 0.1),
        "threshold": (0.1, 0.3, 0.5, 0.7),
        "small,min_size_px": SIZES,
        "grow": GROWTHS,
    }
    __pydantic_config__: ClassVar[ConfigDict] = CHECKED

    offsets: tuple[Offset, ...] = field(kw_only=True)
    threshold: Probability = 0.5
    bias: Annotated[float, Field(ge=-1, le=1)] = 0.0
    least_affinity: Probability = 0.1
    strides: tuple[Stride, Stride, Stride] = (1, 2, 2)

    def __post_init__(self) -> None:
        if not channels_of(self.name, self.offsets, self.dimensions).far:
            raise BadInput(
                "decoder 'mutex_watershed', offsets",
                f"none longer than 1 in {self.dimensions}D",
                "long ones, which keep objects apart",
                "decode with 'agglomeration'",
            )

    def __call__(self, maps: Maps) -> Labels:
        check_maps(maps)
        check_affinities(self.name, self.offsets, maps)
        channels = channels_of(self.name, self.offsets, self.dimensions)
        mask = foreground_probability(maps) > self.threshold
        affinities = maps["affinities"]
        links = neighbour_links(affinities, self.offsets, channels, self.dimensions)
        labels = self._partition(affinities, channels, mask)
        labels = held_together(labels, links, self.least_affinity, self.dimensions)
        return self.finished(labels, cut_boundary(links))

    def _partition(self, affinities: Map, channels: Channels, mask: Mask) -> Ids:
        """Regions (z, y, x); numbers are those of the slice in 2D."""
        from bioimage_cpp.segmentation import mutex_watershed

        skipped = 3 - self.dimensions
        order = [*channels.near, *channels.far]
        offsets = [self.offsets[k][skipped:] for k in order]
        n, strides = len(channels.near), self.strides[skipped:]

        def solve(values: Map, where: Mask) -> Ids:
            strengths = values[order].astype(np.float32, copy=False)  # the indices have made a copy
            strengths[:n] += np.float32(self.bias)
            strengths[n:] = 1 - strengths[n:]
            found = mutex_watershed(strengths, offsets, n, strides=strides, mask=where)
            return np.asarray(found, np.uint32)

        if self.dimensions == 3:
            return solve(affinities, mask)
        return np.stack([solve(affinities[:, z], plane) for z, plane in enumerate(mask)])

    def describe(self) -> str:
        return (
            f"mutex watershed {place(self.dimensions)} of the mask above {self.threshold:g} with bias {self.bias:g}"
            f"{self.finish_in_words()}"
        )
