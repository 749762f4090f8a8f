"""What linkers have in common: the registry, the numbers of linked objects, and how they are written into slices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.errors import BadInput
from anyscope.instances.linking.tables import Indices, Overlaps, SliceTables, mutual_best, slice_tables
from anyscope.registry import Registry
from anyscope.running.documents import build_entry


@dataclass(frozen=True, eq=False)
class Numbering:
    """The id in the volume of every object of every slice.

    Args:
        tables: What was counted.
        numbers: (n,) id of each object, 1.. in the order in which they first appear.
    """

    tables: SliceTables
    numbers: Indices

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """uint32, or uint64 where it does not hold the ids."""
        return np.dtype(np.uint32 if self.numbers.max(initial=0) < 2**32 else np.uint64)

    def apply(self, z: int, plane: Labels) -> Labels:
        """Slice ``z`` (y, x) with the ids of the volume; it has to be the one that was counted."""
        part = slice(int(self.tables.starts[z]), int(self.tables.starts[z + 1]))
        known = np.concatenate([[np.uint64(0)], self.tables.ids[part]])
        numbers = np.concatenate([[0], self.numbers[part]]).astype(self.dtype)
        largest = int(known[-1])
        if largest <= 4 * plane.size + 1024:
            table = np.zeros(largest + 1, self.dtype)
            table[known.astype(np.intp)] = numbers
            return table[plane]
        return numbers[np.searchsorted(known, plane.astype(np.uint64))]


class Linker(ABC):
    """Links the objects of slices to objects of a volume. Entries are frozen dataclasses of parameters."""

    name: ClassVar[str]
    search: ClassVar[Mapping[str, Sequence[float]]]
    """Values worth trying, by parameter."""
    bridge: bool
    """Go on across one slice in which an object is missing."""

    @abstractmethod
    def joined(self, tables: SliceTables) -> tuple[Indices, Indices]:
        """Pairs of objects (numbers as in the tables) that belong together."""

    @abstractmethod
    def bridged(self, tables: SliceTables, overlaps: Overlaps) -> NDArray[np.bool_]:
        """Which of the overlaps across a slice are good enough for a link."""

    @abstractmethod
    def describe(self) -> str:
        """How slices are linked, in words that belong beside a score."""

    def number(self, slices: Iterable[Labels]) -> Numbering:
        """The ids of all objects, from slices (y, x) read once, two or three of them in memory at a time."""
        tables = slice_tables(slices, self.bridge)
        first, second = self.joined(tables)
        if tables.second is not None:
            lower, upper = self._across(tables, tables.second, first, second)
            first, second = np.concatenate([first, lower]), np.concatenate([second, upper])
        return Numbering(tables, _numbers(len(tables.ids), first, second))

    def __call__(self, labels: Labels) -> Labels:
        """Labels (z, y, x) of objects of the volume, 1..n in uint32 (uint64 where that is too small).

        Args:
            labels: (z, y, x), ids by slice: they may be used again in the next slice or not. 0 is background.

        Raises:
            BadInput: The labels are no volume, no integers, or negative.
        """
        if labels.ndim != 3:
            raise BadInput("labels", f"shape {labels.shape}", "axes (z, y, x)")
        numbering = self.number(labels)
        linked = np.empty(labels.shape, numbering.dtype)
        for z, plane in enumerate(labels):
            linked[z] = numbering.apply(z, plane)
        return linked

    def _across(
        self, tables: SliceTables, overlaps: Overlaps, first: Indices, second: Indices
    ) -> tuple[Indices, Indices]:
        """Links across a slice, of objects that end there and begin behind it, the best of both."""
        goes_on, comes_from = np.zeros(len(tables.ids), bool), np.zeros(len(tables.ids), bool)
        z = tables.slices
        upwards = z[first] < z[second]
        goes_on[np.where(upwards, first, second)[z[first] != z[second]]] = True
        comes_from[np.where(upwards, second, first)[z[first] != z[second]]] = True
        free = ~goes_on[overlaps.lower] & ~comes_from[overlaps.upper] & self.bridged(tables, overlaps)
        best = mutual_best(overlaps, len(tables.ids), free)
        return overlaps.lower[best], overlaps.upper[best]


LINKERS: Registry[type[Any]] = Registry("linker")


def build_linker(name: str, parameters: Mapping[str, Any] | None = None) -> Linker:
    """The linker called ``name`` with ``parameters`` as a spec or a settings file has them.

    Raises:
        BadInput: For an unknown name, an unknown parameter, or a value out of its range.
    """
    linker: Linker = build_entry(LINKERS[name], parameters or {}, f"linker {name!r}")
    return linker


def _numbers(n: int, first: Indices, second: Indices) -> Indices:
    """Ids 1.. of the groups that pairs join, in the order of their first objects."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if n == 0:
        return np.zeros(0, np.int64)
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(n, n)).tocsr()
    _, groups = connected_components(graph, directed=False)
    _, firsts, groups = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(len(firsts), np.int64)
    rank[np.argsort(firsts)] = np.arange(1, len(firsts) + 1)
    return rank[groups]
