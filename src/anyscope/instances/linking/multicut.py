"""Objects of all slices linked at once, so that the evidence of several slices counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from anyscope.instances.linking.base import LINKERS, Linker
from anyscope.instances.linking.tables import Indices, Overlaps, SliceTables
from anyscope.instances.multicut import log_odds, multicut

_CERTAIN = 0.05
"""Similarities are held this far from 0 and 1, where their log-odds end."""


@LINKERS.register("multicut")
@dataclass(frozen=True)
class MulticutLinker(Linker):
    """Links by a multicut of the graph of all objects.

    An edge between objects of consecutive slices is worth log(s / (1 - s)) - log(b / (1 - b)), s their similarity and b
    ``bias``; times the pixels they share where ``weigh_by_size``. Objects of one slice that touch are worth
    -``repulsion`` together, times the pixels of the smaller: a network drew a boundary between them. The partition that
    joins the largest sum is sought, so that two halves of an object are joined where the slices around outweigh that.

    Every object lies within another one of the next slice if it is small enough, whether they belong together or not,
    and a few such slivers would chain neurites together that never touch. So an overlap has to be larger than rims
    move: ``share`` is that of the smaller object and a disc together, ``doubt`` times as wide as rims move from one of
    these very slices to the next. So neither the size of pixels nor the thickness of slices has to be known.

    ``bias`` and ``repulsion`` scored best on the first 95 slices of a stack of fly neurites, whole and with a twentieth
    of the objects of each slice cut in two.

    Args:
        similarity: ``iou``, or ``share``: the part of the smaller object that is shared.
        bias: Similarity at which a link is worth nothing.
        repulsion: In units of log-odds.
        weigh_by_size: Large overlaps count more.
        doubt: Of ``share``: 0 takes every pixel for evidence. From 2.5 to 4 it scored about the same on that stack, cut
            along three axes and at three thicknesses of slices.
        bridge: Go on across one slice in which an object is missing.

    Source: multicut over superpixels of all slices as in Beier et al., Nature Methods 14:101 (2017); solved by
    Kernighan-Lin from a greedy start.
    """

    name: ClassVar[str] = "multicut"
    search: ClassVar[Mapping[str, Sequence[float]]] = {
        "bias": (0.2, 0.3, 0.5, 0.6, 0.7),
        "repulsion": (0.5, 1.0, 2.0, 3.0, 5.0),
    }
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    similarity: Literal["iou", "share"] = "share"
    bias: Annotated[float, Field(gt=0, lt=1)] = 0.3
    repulsion: Annotated[float, Field(ge=0, le=100)] = 3.0
    weigh_by_size: bool = True
    doubt: Annotated[float, Field(ge=0, le=100)] = 3.0
    bridge: bool = False

    def joined(self, tables: SliceTables) -> tuple[Indices, Indices]:
        from bioimage_cpp.graph import UndirectedGraph

        overlaps = tables.next
        if not overlaps.pixels.size:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        odds = log_odds(self._similarity(tables, overlaps), self.bias, _CERTAIN)
        costs = odds * overlaps.pixels if self.weigh_by_size else odds
        pairs = np.stack([overlaps.lower, overlaps.upper], axis=1)
        if self.repulsion:
            contacts = tables.contacts
            smaller = np.minimum(tables.sizes[contacts.lower], tables.sizes[contacts.upper])
            against = np.full(len(smaller), -self.repulsion) * (smaller if self.weigh_by_size else 1)
            pairs = np.concatenate([pairs, np.stack([contacts.lower, contacts.upper], axis=1)])
            costs = np.concatenate([costs, against])
        pairs, costs = _added(pairs, costs)
        groups = multicut(UndirectedGraph.from_unique_edges(len(tables.ids), pairs.astype(np.uint64)), costs)
        together = groups[overlaps.lower] == groups[overlaps.upper]
        return overlaps.lower[together], overlaps.upper[together]

    def bridged(self, tables: SliceTables, overlaps: Overlaps) -> NDArray[np.bool_]:
        return self._similarity(tables, overlaps) >= self.bias

    def _similarity(self, tables: SliceTables, overlaps: Overlaps) -> NDArray[np.float64]:
        if self.similarity == "iou":
            return tables.iou(overlaps)
        smaller = np.minimum(tables.sizes[overlaps.lower], tables.sizes[overlaps.upper])
        return np.asarray(overlaps.pixels / (smaller + np.pi / 4 * (self.doubt * tables.rim_motion_px()) ** 2))

    def describe(self) -> str:
        doubt = f" and a disc of {self.doubt:g} motions of rims" if self.doubt else ""
        measure = "IoU" if self.similarity == "iou" else f"shared part of the smaller{doubt}"
        bridge = ", one missing slice bridged" if self.bridge else ""
        return f"slices linked by multicut, {measure} against {self.bias:g}, repulsion {self.repulsion:g}{bridge}"


def _added(pairs: Indices, costs: NDArray[np.float64]) -> tuple[Indices, NDArray[np.float64]]:
    """Each pair once, sorted, with the sum of its costs."""
    unique, place = np.unique(pairs, axis=0, return_inverse=True)
    sums = np.bincount(place.ravel(), weights=costs, minlength=len(unique))
    return unique, sums.astype(np.float64)
