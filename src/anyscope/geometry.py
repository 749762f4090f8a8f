"""Coordinates as values. Axes are always in the order z, y, x; physical sizes are in nanometres."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from anyscope.errors import BadInput

_RANGE = re.compile(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*\Z")


class VoxelSize(NamedTuple):
    """Size of a voxel in nm. ``z`` is None where an image is a single plane or slices are not ordered in depth."""

    z: float | None
    y: float
    x: float

    @classmethod
    def of(cls, sizes: Sequence[float], subject: str = "voxel size") -> VoxelSize:
        """From two (y, x) or three (z, y, x) positive numbers in nm.

        >>> VoxelSize.of([50, 4.6, 4.6])
        VoxelSize(z=50.0, y=4.6, x=4.6)
        """
        expected = "two (y, x) or three (z, y, x) positive numbers in nm"
        try:
            numbers = [float(size) for size in sizes]
        except (TypeError, ValueError):
            raise BadInput(subject, f"{sizes!r}", expected) from None
        if len(numbers) not in (2, 3) or not all(0 < number < float("inf") for number in numbers):
            raise BadInput(subject, f"{list(sizes)!r}", expected)
        z = numbers[0] if len(numbers) == 3 else None
        return cls(z, numbers[-2], numbers[-1])

    @property
    def in_plane(self) -> float:
        """Geometric mean of the pixel size in y and x, in nm."""
        return float((self.y * self.x) ** 0.5)


@dataclass(frozen=True)
class Roi:
    """A box in voxels: ``start`` inclusive, ``stop`` exclusive, both (z, y, x).

    >>> Roi((0, 0, 0), (1, 10, 10)).intersect(Roi((0, 5, 5), (1, 20, 20)))
    Roi(start=(0, 5, 5), stop=(1, 10, 10))
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def __post_init__(self) -> None:
        if any(first > last for first, last in zip(self.start, self.stop, strict=True)):
            raise ValueError(f"a region cannot stop before it starts: {self.start}..{self.stop}")

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Roi:
        """The box that covers an array of ``shape`` (z, y, x)."""
        z, y, x = shape
        return cls((0, 0, 0), (z, y, x))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Extent in voxels (z, y, x)."""
        z, y, x = (last - first for first, last in zip(self.start, self.stop, strict=True))
        return z, y, x

    @property
    def size(self) -> int:
        """Number of voxels."""
        z, y, x = self.shape
        return z * y * x

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of the box in a (z, y, x) array."""
        z, y, x = (slice(first, last) for first, last in zip(self.start, self.stop, strict=True))
        return z, y, x

    def intersect(self, other: Roi) -> Roi:
        """The part that both boxes share; of size 0 where they share none."""
        start = tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(max(first, min(a, b)) for first, a, b in zip(start, self.stop, other.stop, strict=True))
        return Roi((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def grow(self, margin: tuple[int, int, int], bounds: Roi) -> Roi:
        """The box with ``margin`` voxels (z, y, x) more on every side, cut at ``bounds``."""
        start = [first - by for first, by in zip(self.start, margin, strict=True)]
        stop = [last + by for last, by in zip(self.stop, margin, strict=True)]
        grown = Roi((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        return grown.intersect(bounds)

    def shift(self, by: tuple[int, int, int]) -> Roi:
        """The box moved by (z, y, x) voxels."""
        start = [first + d for first, d in zip(self.start, by, strict=True)]
        stop = [last + d for last, d in zip(self.stop, by, strict=True)]
        return Roi((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def parse_region(text: str, shape: Sequence[int], subject: str = "region") -> Roi:
    """A region in NumPy notation, such as ``"[:, 288:, :512]"``, as a box.

    Args:
        text: As many ``start:stop`` ranges as the image has axes (2: y, x; 3: z, y, x); steps are not allowed.
        shape: Shape of the image (z, y, x); z = 1 for a single plane.
        subject: What the error message is about.

    >>> parse_region("[:, -4:]", (1, 8, 10))
    Roi(start=(0, 0, 6), stop=(1, 8, 10))
    """
    expected = 'ranges such as "[:, 288:, :512]", one for each axis'
    inner = text.strip()
    if not (inner.startswith("[") and inner.endswith("]")):
        raise BadInput(subject, f"region {text!r}", expected)
    parts = inner[1:-1].split(",")
    if len(parts) == 2 and shape[0] == 1:
        parts = [":", *parts]
    if len(parts) != 3:
        raise BadInput(subject, f"region {text!r} with {len(parts)} ranges for an image of {tuple(shape)}", expected)
    start, stop = [], []
    for part, length in zip(parts, shape, strict=True):
        match = _RANGE.match(part)
        if match is None:
            raise BadInput(subject, f"region {text!r}", expected)
        first, last, _ = slice(*(int(group) if group else None for group in match.groups())).indices(length)
        if last <= first:
            raise BadInput(subject, f"region {text!r} is empty in an image of {tuple(shape)}", "a region with voxels")
        start.append(first)
        stop.append(last)
    return Roi((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
