"""Where tiles lie, what of each is kept, and how overlaps are blended.

    0   2   4   6   8   10  12  14  16  18  20  22  24  26  28      pixels; stride 2, tile 12, halo 2
    |                         image                         |
    [        core       |hal]                                       tile 0 begins with the image: no halo there
                    [hal|      core     |hal]                       tile 1
                                    [hal|        core       ]       tile 2 ends with the image
                    |-------| overlap: the halos of two tiles

A tile is read with its halo, and its core is kept; cores cover the image exactly once. A network without global
statistics computes in the core what it computes on the whole image, to rounding, under three conditions:

- the halo is at least as wide as an input pixel reaches (half the receptive field), so that the zeros with which
  convolutions surround a tile do not reach the core;
- tiles start at multiples of the network's stride, so that pooling cells and up-sampling phases are those of the image;
- a tile ends either at a multiple of the stride or with the image. The segmenter pads at the bottom and on the right
  only, so that a tile that ends with the image is padded with the same pixels as the image, and no other is padded.

Where no halo is wide enough (attention, pooling over the image, instance normalisation) tiles disagree in their
overlaps. They are blended there with Gaussian weights, which hides the seams but does not make the result exact:
:func:`anyscope.inference.tiling_difference` measures by how much it is not.

The cost of tiling is the pixels that are computed twice: two halos for each tile after the first along an axis. Hence
as few tiles as memory allows, all about equally large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput


class Span(NamedTuple):
    """A tile along one axis: it reads [start, stop) and keeps [first, last)."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def read(self) -> slice:
        """What the network sees, in the image."""
        return slice(self.start, self.stop)

    @property
    def core(self) -> slice:
        """What is kept, in the image."""
        return slice(self.first, self.last)

    @property
    def inner(self) -> slice:
        """What is kept, in the tile."""
        return slice(self.first - self.start, self.last - self.start)

    @property
    def length(self) -> int:
        """Pixels read."""
        return self.stop - self.start


class Tile(NamedTuple):
    """A tile of a slice."""

    y: Span
    x: Span

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what is read."""
        return self.y.length, self.x.length


@dataclass(frozen=True)
class Layout:
    """How slices are tiled.

    Args:
        tile: Largest height and width of a tile, multiples of the stride.
        halo: Context on each side, a multiple of the stride.
        stride: Stride of the network.
        batch: Tiles in one forward pass.
        exact: Whether halos are cropped because cores are exact; otherwise overlaps are blended.
    """

    tile: tuple[int, int]
    halo: int
    stride: int
    batch: int = 1
    exact: bool = True

    def exchanged(self) -> Layout:
        """The layout with y and x exchanged."""
        return Layout((self.tile[1], self.tile[0]), self.halo, self.stride, self.batch, self.exact)

    def tiles(self, shape: tuple[int, int]) -> list[Tile]:
        """The tiles of a slice (y, x); of equal shapes next to each other where possible."""
        spans = [
            axis_spans(length, tile, self.halo, self.stride) for length, tile in zip(shape, self.tile, strict=True)
        ]
        return [Tile(y, x) for y in spans[0] for x in spans[1]]

    def pixels(self, shape: tuple[int, int]) -> int:
        """Pixels that the network sees for a slice, those seen twice counted twice."""
        return sum(tile.shape[0] * tile.shape[1] for tile in self.tiles(shape))

    def describe(self, shape: tuple[int, int]) -> str:
        """One line for the user.

        >>> Layout((512, 512), 32, 16).describe((500, 500))
        'untiled'
        """
        tiles = self.tiles(shape)
        if len(tiles) == 1:
            return "untiled"
        height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
        extra = self.pixels(shape) / (shape[0] * shape[1]) - 1
        how = "equal to untiled" if self.exact else "blended"
        return f"{len(tiles)} tiles of up to {height} x {width}, halo {self.halo}, {extra:.0%} more pixels, {how}"


def round_up(value: int, stride: int) -> int:
    """The least multiple of ``stride`` that is not below ``value``."""
    return -(-value // stride) * stride


def axis_spans(length: int, tile: int, halo: int, stride: int) -> list[Span]:
    """The fewest tiles along an axis, about equally long, whose cores cover it exactly once.

    Args:
        length: Pixels along the axis.
        tile: Longest tile; ``tile`` and ``halo`` are multiples of ``stride``.
        halo: Context at each end of a tile that does not end with the image.
        stride: Tiles start at its multiples.

    Raises:
        BadInput: Several tiles are needed, and one has no core left between its halos.

    >>> [tuple(span) for span in axis_spans(28, 12, 2, 2)]
    [(0, 12, 0, 10), (8, 20, 10, 18), (16, 28, 18, 28)]
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    if tile < 2 * halo + stride:
        found = f"{tile} pixels with a halo of {halo} on each side"
        raise BadInput("tile", found, f"at least {2 * halo + stride}", "give a larger tile or more memory")
    count = -(-(length - 2 * halo) // (tile - 2 * halo))
    even = round_up(-(-(length - 2 * halo) // count), stride)
    spans = []
    first = 0
    while first < length:
        start = max(0, first - halo)
        # The last tile is no shorter than the others: it starts earlier, and its halo is wider.
        start = min(start, round_up(max(0, length - even - 2 * halo), stride))
        stop = min(length, start + even + 2 * halo)
        last = length if stop == length else stop - halo
        spans.append(Span(start, stop, first, last))
        first = last
    return spans


def gaussian_weights(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Weights (y, x) of a tile's pixels in an overlap: a Gaussian with a standard deviation of an eighth of the tile.

    The width is nnU-Net's (Isensee et al. 2021, Nature Methods 18, 203-211, supplement).
    """
    profiles = []
    for length in shape:
        offset = (np.arange(length) - (length - 1) / 2) / (length / 8)
        profiles.append(np.exp(-(offset**2) / 2))
    return np.outer(*profiles).astype(np.float32)


def chunks(tiles: list[Tile], slices: int, batch: int) -> Iterator[tuple[list[int], list[Tile]]]:
    """Pairs of slice and tile that go through the network together: of one shape, ``batch`` at most."""
    by_shape: dict[tuple[int, int], list[tuple[int, Tile]]] = {}
    for tile in tiles:
        by_shape.setdefault(tile.shape, []).extend((z, tile) for z in range(slices))
    for jobs in by_shape.values():
        for first in range(0, len(jobs), batch):
            part = jobs[first : first + batch]
            yield [z for z, _ in part], [tile for _, tile in part]
