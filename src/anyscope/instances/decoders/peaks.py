"""Objects that are the hills of the distance map, told apart by how far the land falls between their peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from anyscope.contracts import Labels
from anyscope.errors import BadInput
from anyscope.images.components import Ids, Mask
from anyscope.instances.decoders.base import CHECKED, DECODERS, Probability, Sigma
from anyscope.instances.decoders.finishing import GROWTHS, SIZES, ObjectParameters
from anyscope.instances.decoders.regions import Map, distance_within, place, smooth
from anyscope.instances.maps import Maps, check_maps, foreground_probability

_FLAT = np.float32(0.995)
"""Distances beyond this tanh (24 px) are not told apart: float noise would make peaks of them."""


@DECODERS.register("peaks")
@dataclass(frozen=True)
class Peaks(ObjectParameters):
    """An object for each peak of the distance that stands out from the passes to higher ones.

    Two touching discs meet in a neck: the distance falls from either peak to half the width of the neck. They are two
    objects where it falls by more than ``dip``, a share of the lower peak. Being relative, one value serves small and
    large objects alike, which no threshold of the distance does.

    The height is the predicted distance, undone from its tanh; without that head the distance to the nearest pixel
    whose boundary is above .5 or that is outside the mask; without a boundary 1 - centre. It is smoothed within slices
    by a Gaussian of ``smoothing_px``.

    Source: see :func:`anyscope.instances.decoders.standing_out.hills`.
    """

    name: ClassVar[str] = "peaks"
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "dip": (0.02, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7),
        "smoothing_px": (0.0, 1.0, 1.5, 2.0, 3.0),
        "threshold": (0.3, 0.4, 0.5, 0.6, 0.7),
        "small,min_size_px": SIZES,
        "grow": GROWTHS,
    }
    __pydantic_config__: ClassVar[ConfigDict] = CHECKED

    threshold: Probability = 0.5
    dip: Annotated[float, Field(ge=0, le=1)] = 0.1
    smoothing_px: Sigma = 1.5

    def __call__(self, maps: Maps) -> Labels:
        check_maps(maps)
        mask = foreground_probability(maps) > self.threshold
        height = smooth(self._height(maps, mask), self.smoothing_px)
        return self.finished(self._hills(height, mask), maps.get("boundary", -height))

    def _height(self, maps: Maps, mask: Mask) -> Map:
        if "distance" in maps:
            return np.arctanh(np.clip(maps["distance"], -_FLAT, _FLAT))
        if "boundary" in maps:
            inside = mask & (maps["boundary"] < 0.5)
            # Where nothing lies outside the distance is infinite: the whole is a single hill.
            return np.nan_to_num(distance_within(inside, self.dimensions, self.anisotropy), posinf=1.0)
        if "centre" in maps:
            return np.float32(1) - maps["centre"]
        raise BadInput(
            "decoder 'peaks'", f"heads {', '.join(maps)}", "a distance, a boundary or a centre beside the mask"
        )

    def _hills(self, height: Map, mask: Mask) -> Ids:
        from anyscope.instances.decoders.standing_out import hills

        inner = (slice(1, -1),) * 3
        shape = tuple(length + 2 for length in mask.shape)
        heights, inside = np.zeros(shape, np.float32), np.zeros(shape, bool)
        heights[inner], inside[inner] = height, mask
        heights = heights.reshape(-1)
        found = np.flatnonzero(inside)
        order = found[np.argsort(-heights[found], kind="stable")]
        row, plane = shape[2], shape[1] * shape[2]
        steps = (-1, 1, -row, row) if self.dimensions == 2 else (-1, 1, -row, row, -plane, plane)
        labels = hills(order, heights, np.array(steps, np.int64), 1 - self.dip)
        return np.ascontiguousarray(labels.reshape(shape)[inner])

    def describe(self) -> str:
        return (
            f"hills of the distance {place(self.dimensions)} within the mask above {self.threshold:g}, apart where it "
            f"falls by more than {self.dip:g} of the lower peak between them{self.finish_in_words()}"
        )
