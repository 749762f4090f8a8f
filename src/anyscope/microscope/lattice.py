"""Volumes of any size with known objects, of which every region can be rendered alone.

Space is cut into cells; what is in a cell follows from its place and the seed, by hashing, not by drawing one number
after the other. A cell holds at most one ellipsoid, somewhere around its middle, and may be joined to the next cell
along one axis by a rod. Chains of joined cells are single objects, up to :data:`LONGEST` cells long: they cross many
faces of whatever blocks a volume is processed in.

    . . . . . . .          cell: PITCH voxels
    . (O)===(O) .          two ellipsoids joined by a rod: one object
    . . . . . (o)          an object of one cell

Objects of different chains never touch: ellipsoids end at least a voxel before the edge of their cells, and rods run
between the middles of joined cells only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from anyscope.geometry import Roi

PITCH = 40
"""Edge of a cell in voxels."""
LONGEST = 8
"""Cells in a chain at most."""

_TILE = (32, 64, 64)
"""Noise is drawn in tiles, so that it does not depend on the region either."""
_FILLED, _JOINED = 0.85, 0.35
_BACKGROUND, _OBJECT, _NOISE = 70.0, 165.0, 12.0
_ROD_PX = 3.5
_SPREAD = (2 * (256**2 - 1) / 12) ** 0.5
"""Standard deviation of the sum of two random bytes, whose distribution is a triangle."""

Cell = tuple[int, int, int]
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Lattice:
    """A specimen without end.

    Args:
        seed: Seed of everything.
        shape: The volume (z, y, x), for the numbers of objects.
    """

    seed: int
    shape: tuple[int, int, int]

    def labels(self, region: Roi) -> NDArray[np.uint32]:
        """Ids of the objects in a region of the volume (z, y, x), 0 background."""
        found = np.zeros(region.shape, np.uint32)
        for cell in self._cells(region):
            for name, box, inside in self._pieces(cell):
                part = box.intersect(region)
                if part.size:
                    target = found[part.shift(_minus(region.start)).slices]
                    target[inside[part.shift(_minus(box.start)).slices]] = name
        return found

    def image(self, region: Roi, labels: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Grey levels of a region whose labels are known: bright objects, shading, noise.

        Args:
            region: The region.
            labels: Its labels.
        """
        z, y, x = (np.arange(at.start, at.stop, dtype=np.float32) for at in region.slices)
        values = np.where(labels > 0, np.float32(_OBJECT), np.float32(_BACKGROUND))
        values += (4 * np.sin(z / 90))[:, None, None]
        values += (8 * np.sin(y / 190))[:, None] + 8 * np.sin(x / 230)
        for tile in _tiles(region):
            part = tile.intersect(region)
            rng = np.random.Generator(np.random.PCG64(self._hash((*tile.start,), 99)))
            drawn = rng.integers(0, 256, (2, *tile.shape), np.uint8).sum(0, dtype=np.float32) - np.float32(255)
            drawn *= np.float32(_NOISE / _SPREAD)
            values[part.shift(_minus(region.start)).slices] += drawn[part.shift(_minus(tile.start)).slices]
        return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)

    def _cells(self, region: Roi) -> Iterator[Cell]:
        """Cells whose pieces can lie in a region: its own, and those before it, whose rods reach into the next."""
        ranges = [
            range(max(0, first // PITCH - 1), (last - 1) // PITCH + 1)
            for first, last in zip(region.start, region.stop, strict=True)
        ]
        for z, y, x in product(*ranges):
            if self._filled((z, y, x)):
                yield z, y, x

    def _pieces(self, cell: Cell) -> Iterator[tuple[int, Roi, NDArray[np.bool_]]]:
        """Id, box and voxels of what begins in a cell: its ellipsoid, and the rod to the next cell."""
        name = self._name(self._root(cell))
        middle = self._middle(cell)
        radii = np.array([8 + 8 * self._uniform(cell, 3 + axis) for axis in range(3)])
        low, high = np.floor(middle - radii).astype(int), np.ceil(middle + radii).astype(int) + 1
        box = Roi(_positive(low), _positive(high))
        z, y, x = np.ogrid[box.slices]
        away = sum(((at - centre) / radius) ** 2 for at, centre, radius in zip((z, y, x), middle, radii, strict=True))
        yield name, box, np.asarray(away < 1)
        axis = self._axis_of(cell)
        if self._joins(cell, axis):
            end = self._middle(_next(cell, axis))
            low = np.floor(np.minimum(middle, end) - _ROD_PX).astype(int)
            high = np.ceil(np.maximum(middle, end) + _ROD_PX).astype(int) + 1
            box = Roi(_positive(low), _positive(high))
            yield name, box, _rod(box, middle, end)

    def _middle(self, cell: Cell) -> NDArray[np.float64]:
        jitter = [3 * (2 * self._uniform(cell, axis) - 1) for axis in range(3)]
        return np.array([(at + 0.5) * PITCH for at in cell]) + jitter

    def _axis_of(self, cell: Cell) -> int:
        """Chains of a neighbourhood run along one axis, so that a cell has one before it and one behind it at most."""
        return self._hash((cell[0] // LONGEST, cell[1] // LONGEST, cell[2] // LONGEST), 7) % 3

    def _joins(self, cell: Cell, axis: int) -> bool:
        """Whether a cell is joined to the next one; never across a neighbourhood, which bounds the length."""
        after = _next(cell, axis)
        within = cell[axis] // LONGEST == after[axis] // LONGEST
        return within and self._filled(after) and self._uniform(cell, 8) < _JOINED

    def _root(self, cell: Cell) -> Cell:
        """The first cell of a chain."""
        axis = self._axis_of(cell)
        while cell[axis] % LONGEST:
            before = _next(cell, axis, -1)
            if not (self._filled(before) and self._joins(before, axis)):
                break
            cell = before
        return cell

    def _name(self, cell: Cell) -> int:
        _, rows, columns = (length // PITCH for length in self.shape)
        return 1 + (cell[0] * rows + cell[1]) * columns + cell[2]

    def _filled(self, cell: Cell) -> bool:
        """Cells that the edge of the volume cuts are empty: every object is whole."""
        inside = all((at + 1) * PITCH <= length for at, length in zip(cell, self.shape, strict=True))
        return inside and self._uniform(cell, 9) < _FILLED

    def _uniform(self, cell: Cell, use: int) -> float:
        return self._hash(cell, use) / 2**64

    def _hash(self, cell: Cell, use: int) -> int:
        """SplitMix64 of seed, place and use (Steele et al., OOPSLA 2014)."""
        state = self.seed
        for number in (*cell, use):
            state = (state ^ (number * 0x9E3779B97F4A7C15)) & _MASK
            state = (state + 0x9E3779B97F4A7C15) & _MASK
            state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
            state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
            state ^= state >> 31
        return state


def _rod(box: Roi, start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Voxels of a box within :data:`_ROD_PX` of a segment."""
    z, y, x = np.ogrid[box.slices]
    along = end - start
    offsets = [at - first for at, first in zip((z, y, x), start, strict=True)]
    place = sum(offset * step for offset, step in zip(offsets, along, strict=True)) / float(along @ along)
    place = np.clip(place, 0, 1)
    away = sum((offset - place * step) ** 2 for offset, step in zip(offsets, along, strict=True))
    return np.asarray(away < _ROD_PX**2)


def _tiles(region: Roi) -> Iterator[Roi]:
    ranges = [
        range(first // edge * edge, last, edge)
        for first, last, edge in zip(region.start, region.stop, _TILE, strict=True)
    ]
    for z, y, x in product(*ranges):
        yield Roi((z, y, x), (z + _TILE[0], y + _TILE[1], x + _TILE[2]))


def _next(cell: Cell, axis: int, step: int = 1) -> Cell:
    moved = list(cell)
    moved[axis] += step
    return moved[0], moved[1], moved[2]


def _positive(corner: NDArray[np.int_]) -> Cell:
    z, y, x = (max(0, int(at)) for at in corner)
    return z, y, x


def _minus(start: Cell) -> Cell:
    return -start[0], -start[1], -start[2]
