"""Objects that are connected regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from anyscope.contracts import Labels
from anyscope.errors import BadInput
from anyscope.images.components import components, neighbours_of
from anyscope.instances.decoders.base import CHECKED, DECODERS, Probability
from anyscope.instances.decoders.finishing import GROWTHS, SIZES, ObjectParameters
from anyscope.instances.decoders.regions import (
    add_unseeded,
    distance_to,
    flood,
    place,
)
from anyscope.instances.maps import Maps, check_maps, foreground_probability


@DECODERS.register("components")
@dataclass(frozen=True)
class Components(ObjectParameters):
    """Connected components of the mask above ``threshold``, or of its interior.

    With ``interior`` set, the mask's pixels whose boundary is below it are connected, and these interiors are grown to
    the rest of the mask, each pixel to the nearest by the way within the mask; parts of the mask without an interior
    are objects of their own.

    Args:
        threshold: Mask above it.
        connectivity: As in scikit-image: 1 joins pixels across faces (4 neighbours in a slice, 6 in a volume), 2 also
            across edges (8, 18), 3 also across corners of voxels (26).
        interior: Boundary below it; None does not look at boundaries.
    """

    name: ClassVar[str] = "components"
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "threshold": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        "interior": (None, 0.3, 0.5, 0.7),
        "small,min_size_px": SIZES,
        "grow": GROWTHS,
    }
    reads: ClassVar[Mapping[str, str]] = {"interior": "boundary"}
    __pydantic_config__: ClassVar[ConfigDict] = CHECKED

    threshold: Probability = 0.5
    connectivity: Literal[1, 2, 3] = 1
    interior: Probability | None = None

    def __call__(self, maps: Maps) -> Labels:
        check_maps(maps)
        probability = foreground_probability(maps)
        mask = probability > self.threshold
        landscape = maps.get("boundary", 1 - probability)
        if self.interior is None:
            return self.finished(components(mask, self.connectivity, self.dimensions), landscape)
        if "boundary" not in maps:
            raise BadInput("decoder 'components', interior", f"heads {', '.join(maps)}", "a boundary beside the mask")
        seeds = components(mask & (maps["boundary"] < self.interior), self.connectivity, self.dimensions)
        labels = flood(distance_to(seeds > 0, self.dimensions, self.anisotropy), seeds, mask, self.dimensions)
        add_unseeded(labels, mask, self.dimensions)
        return self.finished(labels, landscape)

    def describe(self) -> str:
        neighbours, where = neighbours_of(self.connectivity, self.dimensions), place(self.dimensions)
        interior = "" if self.interior is None else f" with boundary below {self.interior:g}, grown within it"
        return (
            f"{neighbours}-connected components {where} of the mask above {self.threshold:g}{interior}"
            f"{self.finish_in_words()}"
        )
