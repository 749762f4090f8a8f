"""A seeded patch sampler. Which patch has which number depends on the seed alone, not on who asks or when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.datasets.planes import PlaneReader
from anyscope.seeding import generator


@dataclass(frozen=True)
class Patch:
    """A square cut.

    Args:
        image: (C, y, x) float32 in 0..1.
        labels: (l, y, x), the slice itself among its neighbours; None where labels are not known.
        valid: (l, y, x), pixels whose labels count.
        spacing: Distance between slices in pixels of the plane; 1 where it is unknown.
        region: Number of the region that it was cut from.
        slice: Which of ``labels`` the slice itself is.
    """

    image: NDArray[np.float32]
    labels: Labels | None
    valid: NDArray[np.bool_] | None
    spacing: float = 1.0
    region: int = 0
    slice: int = 0


@dataclass(frozen=True)
class PatchSampler:
    """Draws patches from planes.

    A region is drawn in proportion to the square root of its number of pixels, so that large images lead without
    drowning small ones; then a plane. With probability ``foreground`` the patch is laid around a random foreground
    pixel of the plane, which only regions with labels have: those of the training source.

    Args:
        planes: Where the planes come from.
        size: Edge of a patch in working pixels. Smaller planes are continued by reflection.
        neighbours: Planes on both sides that become channels.
        foreground: Share of patches that are laid around foreground, 0..1.
        seed: Seed of all draws.
        label_neighbours: Slices on both sides whose labels are cut out too. The outermost slices of a stack, which have
            fewer, are not drawn as long as these are less than half of it.
    """

    planes: PlaneReader
    size: int
    neighbours: int
    foreground: float
    seed: int
    label_neighbours: int = 0

    def draw(self, number: int) -> Patch:
        """The patch with the given number, always the same one."""
        random = generator(self.seed, "patch", number)
        weights = np.array(
            [
                np.sqrt(self.planes.depth(i) * np.prod(self.planes.plane_shape(i)))
                for i in range(len(self.planes.regions))
            ]
        )
        region = int(random.choice(len(weights), p=weights / weights.sum()))
        around = self.label_neighbours
        depth = self.planes.depth(region)
        outermost = around if depth > 4 * around else 0
        z = outermost + int(random.integers(depth - 2 * outermost))
        plane = self.planes.plane(region, z)
        shape = plane.image.shape[1:]
        if len(plane.foreground) and random.random() < self.foreground:
            centre = np.array(divmod(int(random.choice(plane.foreground)), shape[1]))
            start = centre - random.integers(self.size // 4, self.size - self.size // 4, 2)
        else:
            start = random.integers(0, np.maximum(np.array(shape) - self.size, 0) + 1)
        start = np.clip(start, 0, np.maximum(np.array(shape) - self.size, 0))
        image = self._cut(self.planes.slab(region, z, self.neighbours), start)
        first = max(0, z - around)
        slab = [self.planes.plane(region, each) for each in range(first, min(depth, z + around + 1))]
        labels = [self._cut(each.labels, start) for each in slab if each.labels is not None]
        valid = [self._cut(each.valid, start) for each in slab if each.valid is not None]
        if not labels or not valid:
            return Patch(image, None, None, region=region)
        return Patch(image, np.stack(labels), np.stack(valid), self.planes.spacing(region), region, z - first)

    def _cut(self, array: NDArray[Any], start: NDArray[np.intp]) -> NDArray[Any]:
        cut = array[..., start[0] : start[0] + self.size, start[1] : start[1] + self.size]
        missing = [self.size - length for length in cut.shape[-2:]]
        if any(missing):
            widths = [(0, 0)] * (cut.ndim - 2) + [(m // 2, m - m // 2) for m in missing]
            cut = np.pad(cut, widths, mode="symmetric")
        return cut
