"""Objects of consecutive slices linked where they cover each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from anyscope.instances.linking.base import LINKERS, Linker
from anyscope.instances.linking.tables import Indices, Overlaps, SliceTables

Fraction = Annotated[float, Field(ge=0, le=1)]


@LINKERS.register("overlap")
@dataclass(frozen=True)
class OverlapLinker(Linker):
    """Links by overlap, from slice to slice.

    ``assignment`` links each object to at most one of the next slice, so that the sum of the IoUs of links is as large
    as it can be. ``branching`` also links an object to several: to those of which ``branch_share`` lies within it and
    fills ``branch_part`` of it, as where a neurite divides, or leaves a slice twice. A neurite that ends is covered by
    its neighbours as a branch is, but it touches them: an object is no branch of one whose partner it touches.

    The defaults scored best on the first 95 slices of a stack of fly neurites.

    Args:
        rule: ``assignment`` or ``branching``.
        min_iou: IoU that a link of two objects needs.
        branch_share: Part of the smaller object that the larger one has to cover.
        branch_part: Part of the larger object that the smaller one has to cover: below it, it is rather a neighbour
            that began where the larger one withdrew.
        bridge: Go on across one slice in which an object is missing.
    """

    name: ClassVar[str] = "overlap"
    search: ClassVar[Mapping[str, Sequence[float]]] = {
        "min_iou": (0.05, 0.1, 0.2, 0.3),
        "branch_share": (0.7, 0.8, 0.9, 0.95),
        "branch_part": (0.02, 0.05, 0.1, 0.2),
    }
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    rule: Literal["assignment", "branching"] = "branching"
    min_iou: Fraction = 0.1
    branch_share: Fraction = 0.7
    branch_part: Fraction = 0.02
    bridge: bool = False

    def joined(self, tables: SliceTables) -> tuple[Indices, Indices]:
        overlaps = tables.next
        iou = tables.iou(overlaps)
        linked = assigned(overlaps, iou, iou >= self.min_iou, tables)
        if self.rule == "branching":
            covered = tables.share_of_smaller(overlaps) >= self.branch_share
            branches = covered & (tables.share_of_larger(overlaps) >= self.branch_part)
            linked |= branches & ~_rivals_touch(tables, linked)
        return overlaps.lower[linked], overlaps.upper[linked]

    def bridged(self, tables: SliceTables, overlaps: Overlaps) -> NDArray[np.bool_]:
        return tables.iou(overlaps) >= self.min_iou

    def describe(self) -> str:
        branches = ""
        if self.rule == "branching":
            branches = f", and where {self.branch_share:g} of one lies in the other and is {self.branch_part:g} of it"
        bridge = ", one missing slice bridged" if self.bridge else ""
        return f"slices linked one to one where the IoU is at least {self.min_iou:g}{branches}{bridge}"


def _rivals_touch(tables: SliceTables, linked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Overlaps of which the one object touches what the other is linked to in its slice."""
    overlaps, n = tables.next, len(tables.ids)
    touching = _keys(tables.contacts.lower, tables.contacts.upper, n)
    above, below = np.full(n, -1), np.full(n, -1)
    above[overlaps.lower[linked]] = overlaps.upper[linked]
    below[overlaps.upper[linked]] = overlaps.lower[linked]
    found = np.zeros(len(overlaps.pixels), bool)
    for own, partner in ((overlaps.lower, below[overlaps.upper]), (overlaps.upper, above[overlaps.lower])):
        found |= (partner >= 0) & np.isin(_keys(np.minimum(own, partner), np.maximum(own, partner), n), touching)
    return found


def _keys(lower: Indices, upper: Indices, n: int) -> Indices:
    """One number for each pair of ``n`` objects."""
    return lower * n + upper


def assigned(
    overlaps: Overlaps, values: NDArray[np.float64], among: NDArray[np.bool_], tables: SliceTables
) -> NDArray[np.bool_]:
    """Which pairs are chosen so that every object has at most one partner in the slice above and the sum of values is
    largest.

    The pairs fall apart into connected groups, each solved for itself. A group of one pair is its own solution.

    Args:
        overlaps: The pairs.
        values: What each is worth, above 0.
        among: The pairs to choose from.
        tables: The objects; those of different pairs of slices never compete, since every object counts once as the
            lower and once as the upper of a pair.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    chosen = np.zeros(len(values), bool)
    pairs = np.flatnonzero(among)
    if not pairs.size:
        return chosen
    n = len(tables.ids)
    lower, upper = overlaps.lower[pairs], overlaps.upper[pairs] + n  # an object has two roles
    graph = coo_array((np.ones(pairs.size, np.int8), (lower, upper)), shape=(2 * n, 2 * n)).tocsr()
    _, group_of = connected_components(graph, directed=False)
    group = group_of[lower]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])
    for part in np.split(order, starts[1:]):
        if part.size == 1:
            chosen[pairs[part]] = True
            continue
        rows, row = np.unique(lower[part], return_inverse=True)
        cols, col = np.unique(upper[part], return_inverse=True)
        worth = np.zeros((rows.size, cols.size))
        worth[row, col] = values[pairs[part]]
        taken = np.zeros(worth.shape, bool)
        taken[linear_sum_assignment(worth, maximize=True)] = True
        chosen[pairs[part]] = taken[row, col]
    return chosen
