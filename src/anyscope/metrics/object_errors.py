"""Which objects were split, merged, missed and invented, from the contingency of reference and prediction.

A reference and a predicted object **belong together** where they share enough pixels (:class:`LinkRule`). The kinds of
error are degrees in the graph of these links:

* a reference object with several predicted ones is **split**, one with none is **missed**;
* a predicted object with several reference ones is a **merge**, one with none is **invented**;
* a pair that belongs to nobody else is **found**, or **inexact** where its IoU is not above .5.

Only a cut object of which a part was also merged with another has two kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.metrics.contingency import Contingency, Ids, Sizes

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class LinkRule:
    """When a reference and a predicted object belong together.

    They do where their IoU is above .5, or where they share at least ``share`` of the smaller of them and at least
    ``speck_px`` pixels. The smaller one decides because a small object that a large one swallows is merged with it.

    Args:
        share: Part of the smaller object, above 0 and at most 1.
        speck_px: Overlaps of fewer pixels (voxels) are specks, which neither cut nor join anything.

    Raises:
        BadInput: A value out of range.
    """

    share: float = 0.25
    speck_px: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BadInput("share", str(self.share), "above 0 and at most 1")
        if self.speck_px < 0:
            raise BadInput("speck_px", str(self.speck_px), "at least 0")

    def __str__(self) -> str:
        return f"IoU above 0.5, or at least {self.share:.0%} of the smaller object and {self.speck_px} pixels in common"


@dataclass(frozen=True, eq=False)
class ObjectErrors:
    """The objects of both sides (0 is none), the links between them, and what follows for each.

    Args:
        reference_ids: (n,) increasing.
        reference_sizes: (n,) pixels.
        prediction_ids: (m,) increasing.
        prediction_sizes: (m,) pixels.
        rows: (k,) index of the reference object of each link, increasing.
        cols: (k,) index of its predicted object.
        counts: (k,) pixels they share.
    """

    reference_ids: Ids
    reference_sizes: Sizes
    prediction_ids: Ids
    prediction_sizes: Sizes
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    counts: Sizes

    @cached_property
    def pieces(self) -> Sizes:
        """(n,) number of predicted objects that belong to each reference object."""
        return np.bincount(self.rows, minlength=self.reference_ids.size)

    @cached_property
    def joined(self) -> Sizes:
        """(m,) number of reference objects that belong to each predicted object."""
        return np.bincount(self.cols, minlength=self.prediction_ids.size)

    @property
    def split(self) -> Flags:
        """(n,) reference objects with several predicted ones."""
        return np.asarray(self.pieces > 1)

    @property
    def missed(self) -> Flags:
        """(n,) reference objects with none."""
        return np.asarray(self.pieces == 0)

    @property
    def merge(self) -> Flags:
        """(m,) predicted objects with several reference ones."""
        return np.asarray(self.joined > 1)

    @property
    def invented(self) -> Flags:
        """(m,) predicted objects with none."""
        return np.asarray(self.joined == 0)

    @cached_property
    def merged(self) -> Flags:
        """(n,) reference objects that belong to a merge; they may be split as well."""
        flags = np.zeros(self.reference_ids.size, bool)
        flags[self.rows[self.merge[self.cols]]] = True
        return flags

    @cached_property
    def found(self) -> Flags:
        """(n,) reference objects with one partner of their own and an IoU above .5."""
        return self._single & self._above

    @cached_property
    def inexact(self) -> Flags:
        """(n,) reference objects with one partner of their own and an IoU of at most .5: found, but badly outlined."""
        return self._single & ~self._above

    @cached_property
    def _single(self) -> Flags:
        return np.asarray(self.pieces == 1) & ~self.merged

    @cached_property
    def _above(self) -> Flags:
        union = self.reference_sizes[self.rows] + self.prediction_sizes[self.cols] - self.counts
        flags = np.zeros(self.reference_ids.size, bool)
        flags[self.rows[2 * self.counts > union]] = True
        return flags

    @property
    def partners(self) -> Flags:
        """(m,) predicted objects with one reference object of their own."""
        flags = np.zeros(self.prediction_ids.size, bool)
        flags[self.cols[self._single[self.rows]]] = True
        return flags

    def numbers(self) -> dict[str, int]:
        """How many objects of each kind: reference objects, except ``merge`` and ``invented``, which are predicted.

        ``found + inexact + missed`` and the reference objects that are split or merged are all reference objects.
        """
        kinds = {
            "found": self.found,
            "inexact": self.inexact,
            "split": self.split,
            "merged": self.merged,
            "missed": self.missed,
            "merge": self.merge,
            "invented": self.invented,
        }
        return {name: int(flags.sum()) for name, flags in kinds.items()}

    def of_reference(self, place: int) -> tuple[tuple[int, int], ...]:
        """Ids of the predicted objects of the reference object at ``place``, with the shared pixels, most first."""
        return _ranked(self.prediction_ids[self.cols], self.counts, self.rows == place)

    def of_prediction(self, place: int) -> tuple[tuple[int, int], ...]:
        """Ids of the reference objects of the predicted object at ``place``, with the shared pixels, most first."""
        return _ranked(self.reference_ids[self.rows], self.counts, self.cols == place)


def object_errors(table: Contingency, rule: LinkRule | None = None) -> ObjectErrors:
    """Objects that were found, split, merged, missed and invented.

    Args:
        table: Of one image, background included: an object's size is that of all its counted pixels.
        rule: When objects belong together.
    """
    rule = rule or LinkRule()
    reference, prediction = table.reference_ids != 0, table.prediction_ids != 0
    pairs = reference[table.rows] & prediction[table.cols]
    rows, cols, both = table.rows[pairs], table.cols[pairs], table.counts[pairs]
    areas, extents = table.reference_sizes[rows], table.prediction_sizes[cols]
    alike = 2 * both > areas + extents - both
    linked = alike | ((both >= rule.share * np.minimum(areas, extents)) & (both >= rule.speck_px))
    return ObjectErrors(
        table.reference_ids[reference],
        table.reference_sizes[reference],
        table.prediction_ids[prediction],
        table.prediction_sizes[prediction],
        rows[linked] - int((~reference[:1]).sum()),
        cols[linked] - int((~prediction[:1]).sum()),
        both[linked],
    )


def _ranked(ids: Ids, counts: Sizes, chosen: Flags) -> tuple[tuple[int, int], ...]:
    pairs = zip(ids[chosen].tolist(), counts[chosen].tolist(), strict=True)
    return tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
