"""Objects grown from seeds where the maps are certain of an interior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from anyscope.contracts import Labels
from anyscope.errors import BadInput
from anyscope.images.components import Mask, components
from anyscope.instances.decoders.base import CHECKED, DECODERS, Probability, Sigma
from anyscope.instances.decoders.finishing import GROWTHS, SIZES, ObjectParameters
from anyscope.instances.decoders.regions import Map, add_unseeded, distance_to, flood, place, smooth
from anyscope.instances.maps import Maps, check_maps, foreground_probability

_FAINT = 1e-3
"""Heights of 2**-16 of the landscape are told apart: enough for a slope that never outweighs a map."""


@DECODERS.register("watershed")
@dataclass(frozen=True)
class Watershed(ObjectParameters):
    """Seeded watershed on boundary and distance, restricted to the mask.

    A seed is a connected region where every map that is there agrees on an interior: mask above ``seed_mask``,
    boundary below ``seed_boundary``, distance above ``seed_distance``, centre below ``seed_centre``. The landscape is
    boundary minus distance, or the centre where there is neither. Maps other than the mask are smoothed with a Gaussian
    of ``smoothing_px`` first, within slices.

    A part of the mask that no seed reaches (an object too thin to have an interior) is an object of its own where
    ``keep_unseeded`` is set and it has ``min_size_px`` pixels. In 3D it should be known that targets are computed per
    slice: objects that touch across slices share seeds where their interiors overlap.

    Source: seeds from mask, contour and distance as in Wei et al., MICCAI 2020 (MitoEM, BC and BCD maps); seeds from
    mask, boundary and centre as in Archit et al., Nature Methods 22:579 (2025; automatic instance segmentation of
    micro-sam, which smooths by 1.6 px and has all three thresholds at .5).
    """

    name: ClassVar[str] = "watershed"
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "seed_distance": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75),
        "seed_centre": (0.2, 0.35, 0.5, 0.65, 0.8, 1.0),
        "seed_boundary": (0.3, 0.5, 0.7),
        "threshold": (0.3, 0.4, 0.5, 0.6, 0.7),
        "smoothing_px": (0.0, 1.0, 2.0, 3.0),
        "small,min_size_px": SIZES,
        "grow": GROWTHS,
    }
    reads: ClassVar[Mapping[str, str]] = {
        "seed_distance": "distance",
        "seed_centre": "centre",
        "seed_boundary": "boundary",
    }
    __pydantic_config__: ClassVar[ConfigDict] = CHECKED

    threshold: Probability = 0.5
    seed_mask: Probability = 0.5
    seed_boundary: Probability = 0.5
    seed_distance: Annotated[float, Field(ge=-1, le=1)] = 0.2
    seed_centre: Probability = 0.5
    smoothing_px: Sigma = 0.0
    keep_unseeded: bool = True

    def __call__(self, maps: Maps) -> Labels:
        check_maps(maps)
        heads = ("boundary", "distance", "centre")
        boundary, distance, centre = (smooth(maps[head], self.smoothing_px) if head in maps else None for head in heads)
        if boundary is None and distance is None and centre is None:
            raise BadInput(
                "decoder 'watershed'", f"heads {', '.join(maps)}", "a boundary, a distance or a centre beside the mask"
            )
        probability = foreground_probability(maps)
        mask = probability > self.threshold
        interior = mask & (probability > self.seed_mask)
        if boundary is not None:
            interior &= boundary < self.seed_boundary
        if distance is not None:
            interior &= distance > self.seed_distance
        if centre is not None:
            interior &= centre < self.seed_centre
        landscape = self._landscape(boundary, distance, centre, interior)
        labels = flood(landscape, components(interior, 1, self.dimensions), mask, self.dimensions)
        if self.keep_unseeded:
            add_unseeded(labels, mask, self.dimensions)
        return self.finished(labels, landscape)

    def _landscape(self, boundary: Map | None, distance: Map | None, centre: Map | None, interior: Mask) -> Map:
        if distance is not None:
            return -distance if boundary is None else boundary - distance
        if boundary is None:
            assert centre is not None
            return centre
        # A boundary is flat on top, and without a slope its pixels would fall to whichever seed comes first instead of
        # the nearest.
        away = np.nan_to_num(distance_to(interior, self.dimensions, self.anisotropy), posinf=0.0)
        return boundary + np.float32(_FAINT) * away

    def describe(self) -> str:
        return (
            f"watershed {place(self.dimensions)} of the mask above {self.threshold:g} from seeds with boundary below "
            f"{self.seed_boundary:g}, distance above {self.seed_distance:g} and centre below {self.seed_centre:g},"
            f" of these what the network predicts{self.finish_in_words()}"
        )
