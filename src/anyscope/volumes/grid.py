"""Where blocks lie: what of a volume each reads, decodes and keeps.

    |<-------------------------- the volume, one axis --------------------------->|
    [         core A         ][         core B         ][         core C          ]   cores cover it exactly once
                      [ ovl  |         core B         |  ovl ]                        B decodes its core and the overlap
                [ctx  |                                      |  ctx]                  B reads the context around that
    |---------------------[  o | o  ]---------------------------------------------|   A and B are compared here: the
                              face                                                    inner halves of their overlaps

- *core*: the voxels whose labels are the block's. They are what is written, and what tables count.
- *overlap*: decoded too, so that an object which crosses a face is seen by both blocks and can be recognised. None
  where objects need no recognising: masks, classes, and connected components, which go on wherever voxels touch.
- *context*: read but not decoded: how far the network sees (half its receptive field within slices, its neighbouring
  slices in z). With it, the maps of a block are those of the whole volume, to rounding.
- Everything ends at the edge of the volume: a region is *clipped* there, never padded, since a network pads the edge of
  a whole volume too. What is read starts at a multiple of the network's stride, and ends at one or with the volume, so
  that pooling cells are those of the whole (see :mod:`anyscope.inference.tiles`).

Blocks are not chunks: what is written at the end is cut into shards that depend on the volume's shape alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, floor

from anyscope.geometry import Roi

Triple = tuple[int, int, int]

_TRIED = 8
"""So many multiples of the stride are looked at for one that falls on a whole pixel of the image."""


@dataclass(frozen=True)
class Lattice:
    """Where along an axis a region may start and end.

    Args:
        stride: Of the network, in working pixels.
        scale: Working pixels for each pixel of the volume.
    """

    stride: int = 1
    scale: float = 1.0

    def below(self, position: int) -> int:
        """The next allowed position that is not above ``position``, and not below 0.

        >>> Lattice(16).below(40), Lattice(4, 0.5).below(11), Lattice(1).below(5)
        (32, 8, 5)
        """
        first = floor(position * self.scale / self.stride + 1e-9)
        return 0 if first <= 0 else min(position, self._best(range(max(0, first - _TRIED + 1), first + 1)[::-1]))

    def above(self, position: int) -> int:
        """The next allowed position that is not below ``position``."""
        first = ceil(position * self.scale / self.stride - 1e-9)
        return max(position, self._best(range(first, first + _TRIED)))

    def _best(self, candidates: range) -> int:
        """The candidate nearest to a whole pixel, the first of several."""
        if self.scale == 1:
            return candidates[0] * self.stride
        exact = [number * self.stride / self.scale for number in candidates]
        beside = [round(abs(value - round(value)), 3) for value in exact]
        return round(exact[beside.index(min(beside))])


@dataclass(frozen=True)
class Block:
    """A block of a grid; all regions are of the volume, in voxels.

    Args:
        number: Blocks are numbered in raster order of their place.
        core: What it keeps.
        decoded: Core and overlap.
        read: What the network is shown.
    """

    number: int
    core: Roi
    decoded: Roi
    read: Roi


@dataclass(frozen=True)
class BlockGrid:
    """A volume cut into blocks.

    Args:
        shape: The volume (z, y, x).
        core: Core of a block; those at the end of an axis are shorter.
        overlap: Decoded beyond the core on each side.
        context: Read beyond that on each side.
        lattices: Where reading may start and end, of y and x.
    """

    shape: Triple
    core: Triple
    overlap: Triple = (0, 0, 0)
    context: Triple = (0, 0, 0)
    lattices: tuple[Lattice, Lattice] = (Lattice(), Lattice())

    def __post_init__(self) -> None:
        if min(*self.shape, *self.core) < 1 or min(*self.overlap, *self.context) < 0:
            raise ValueError(f"no grid: {self}")

    @property
    def counts(self) -> Triple:
        """Number of blocks along each axis."""
        z, y, x = (-(-length // core) for length, core in zip(self.shape, self.core, strict=True))
        return z, y, x

    def __len__(self) -> int:
        z, y, x = self.counts
        return z * y * x

    def place(self, number: int) -> Triple:
        """Place of a block in the grid."""
        _, rows, columns = self.counts
        return number // (rows * columns), number // columns % rows, number % columns

    def number(self, place: Triple) -> int:
        """Number of the block at a place."""
        _, rows, columns = self.counts
        return (place[0] * rows + place[1]) * columns + place[2]

    def block(self, number: int) -> Block:
        """The block of a number.

        >>> grid = BlockGrid((8, 100, 100), (8, 50, 50), (0, 4, 4), (0, 10, 10), (Lattice(8), Lattice(8)))
        >>> grid.block(1).decoded.slices[2], grid.block(1).read.slices[2]
        (slice(46, 100, None), slice(32, 100, None))
        """
        if not 0 <= number < len(self):
            raise ValueError(f"no block {number} among {len(self)}")
        whole = Roi.whole(self.shape)
        start = [at * length for at, length in zip(self.place(number), self.core, strict=True)]
        stop = [first + length for first, length in zip(start, self.core, strict=True)]
        core = Roi((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])).intersect(whole)
        decoded = core.grow(self.overlap, whole)
        read = decoded.grow(self.context, whole)
        down, up = zip(*(self._widened(read, axis) for axis in (1, 2)), strict=True)
        return Block(number, core, decoded, Roi((read.start[0], *down), (read.stop[0], *up)))

    def _widened(self, read: Roi, axis: int) -> tuple[int, int]:
        lattice = self.lattices[axis - 1]
        return lattice.below(read.start[axis]), min(self.shape[axis], lattice.above(read.stop[axis]))

    def blocks(self) -> Iterator[Block]:
        """All blocks in their order."""
        return map(self.block, range(len(self)))

    def later_neighbours(self, number: int) -> Iterator[tuple[int, Triple]]:
        """The blocks that touch a block with a face, an edge or a corner and come after it, and where they lie."""
        place, counts = self.place(number), self.counts
        for step in product((-1, 0, 1), repeat=3):
            if step > (0, 0, 0):
                z, y, x = (at + by for at, by in zip(place, step, strict=True))
                if all(0 <= at < count for at, count in zip((z, y, x), counts, strict=True)):
                    yield self.number((z, y, x)), (step[0], step[1], step[2])

    def meeting(self, region: Roi) -> Iterator[int]:
        """Numbers of the blocks whose cores share voxels with a region, in their order."""
        ranges = [
            range(first // length, -(-last // length))
            for first, last, length in zip(region.start, region.stop, self.core, strict=True)
        ]
        for place in product(*ranges):
            yield self.number((place[0], place[1], place[2]))

    def predicted(self) -> int:
        """Pixels that the network is shown for all blocks together; neighbouring slices, read as context, are not."""
        z = sum(self._reads(0, 0))
        y, x = (sum(self._reads(axis, self.context[axis])) for axis in (1, 2))
        return z * y * x

    def largest_read(self) -> Triple:
        """Shape of the largest region that is read at once: that of a block with others on all sides."""
        z, y, x = (max(self._reads(axis, self.context[axis])) for axis in range(3))
        return z, y, x

    def _reads(self, axis: int, context: int) -> Iterator[int]:
        """How long along an axis the regions are that are read for the blocks along it."""
        length, core, beyond = self.shape[axis], self.core[axis], self.overlap[axis] + context
        for first in range(0, length, core):
            start, last = max(0, first - beyond), min(length, first + core + beyond)
            if axis:
                lattice = self.lattices[axis - 1]
                start, last = lattice.below(start), min(length, lattice.above(last))
            yield last - start
