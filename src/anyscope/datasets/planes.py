"""Planes at the working pixel size, cached within a memory budget, so that any dataset can be streamed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Task
from anyscope.datasets.folder import ImageRegion, LabelledRegion
from anyscope.errors import BadInput
from anyscope.images import Intensity, to_unit
from anyscope.images.resampling import resample_image, resample_labels, resampling_for

Restyle = Callable[[int, NDArray[np.float32]], NDArray[np.float32]]
_MOST_FOREGROUND_PIXELS = 4096


@dataclass(frozen=True)
class Plane:
    """One plane: image (c, y, x) float32 in 0..1, labels (y, x) and valid (y, x), None where labels are not known."""

    image: NDArray[np.float32]
    labels: Labels | None
    valid: NDArray[np.bool_] | None

    @cached_property
    def foreground(self) -> NDArray[np.intp]:
        """Flat indices of foreground pixels, thinned evenly to a bounded number."""
        if self.labels is None:
            return np.empty(0, dtype=np.intp)
        found = np.flatnonzero(self.labels)
        step = max(1, -(-len(found) // _MOST_FOREGROUND_PIXELS))
        return found[::step]

    @property
    def nbytes(self) -> int:
        """Memory that the plane takes, in bytes."""
        return sum(array.nbytes for array in (self.image, self.labels, self.valid) if array is not None)


class PlaneReader:
    """Reads planes of regions at the working pixel size and keeps the most recently used ones.

    Args:
        regions: Labelled or unlabelled image regions.
        task: What the labels should be: see :meth:`LabelledRegion.read_reference`.
        intensity: The intensity convention; the range is taken once for each region.
        pixel_size_nm: The working pixel size; None for the images' own pixels.
        zoom: Working pixels for each nominal one; see :func:`anyscope.images.resampling.resampling_for`.
        restyle: Changes the grey levels of a plane (c, y, x) of a region, given by its number, once it was read.
        in_depth: Labels are compared from slice to slice: the objects of a mask are then numbered in the region as a
            whole, 4 bytes for each voxel of it, and not in each plane.
        budget_bytes: Memory for planes that are kept.
    """

    def __init__(
        self,
        regions: tuple[ImageRegion, ...],
        task: Task,
        intensity: Intensity,
        pixel_size_nm: float | None,
        *,
        zoom: float = 1.0,
        restyle: Restyle | None = None,
        in_depth: bool = False,
        budget_bytes: int = 2 << 30,
    ) -> None:
        self.regions = regions
        self._task: Task = task
        self._intensity = intensity
        self._pixel_size_nm = pixel_size_nm
        self._zoom = zoom
        self._restyle = restyle
        self._budget = budget_bytes
        self._kept: OrderedDict[tuple[int, int], Plane] = OrderedDict()
        self._held = 0
        self._ranges: dict[int, tuple[float, float]] = {}
        self._in_depth = in_depth and task == "instances"
        self._objects: dict[int, Labels] = {}
        for region in regions if self._in_depth else ():
            _check_in_depth(region)

    def depth(self, region: int) -> int:
        """Number of planes of a region."""
        return self.regions[region].roi.shape[0]

    def plane_shape(self, region: int) -> tuple[int, int]:
        """Shape (y, x) of a region's planes at the working pixel size."""
        chosen = self.regions[region]
        return resampling_for(chosen.pixel_size_nm, self._pixel_size_nm, self._zoom).working_shape(chosen.roi.shape[1:])

    def spacing(self, region: int) -> float:
        """Distance between slices in working pixels of the plane; 1 where the voxel size is unknown."""
        chosen = self.regions[region]
        if chosen.voxel_size_nm is None or chosen.voxel_size_nm.z is None:
            return 1.0
        scale = self.plane_shape(region)[1] / chosen.roi.shape[2]
        return chosen.voxel_size_nm.z / chosen.voxel_size_nm.in_plane * scale

    def plane(self, region: int, z: int) -> Plane:
        """The plane ``z``, counted within the region."""
        key = (region, z)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        plane = self._read(region, z)
        self._kept[key] = plane
        self._held += plane.nbytes
        while self._held > self._budget and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._held -= dropped.nbytes
        return plane

    def slab(self, region: int, z: int, neighbours: int) -> NDArray[np.float32]:
        """The image of plane ``z`` with ``neighbours`` planes on both sides as channels (c * (2k+1), y, x).

        Beyond the ends of the stack the last plane is repeated.
        """
        last = self.depth(region) - 1
        depths = [min(max(z + offset, 0), last) for offset in range(-neighbours, neighbours + 1)]
        return np.concatenate([self.plane(region, depth).image for depth in depths])

    def _read(self, index: int, z: int) -> Plane:
        region = self.regions[index]
        if index not in self._ranges:
            self._ranges[index] = self._intensity.range_of(region.image, region.roi)
        plane, shape = region.planes(z, z + 1), self.plane_shape(index)
        image = resample_image(to_unit(plane.image.read(plane.roi)[:, 0], self._ranges[index]), shape)
        image = image if self._restyle is None else self._restyle(index, image)
        if not isinstance(plane, LabelledRegion):
            return Plane(image, None, None)
        labels, valid = plane.read_reference(self._task)
        if self._in_depth and plane.kind == "mask":
            labels = self._objects_of(index, region)[z : z + 1]
        return Plane(image, resample_labels(labels[0], shape), resample_labels(valid[0], shape))

    def _objects_of(self, index: int, region: ImageRegion) -> Labels:
        if index not in self._objects and isinstance(region, LabelledRegion):
            self._objects[index] = region.read_reference("instances")[0]
        return self._objects[index]


def _check_in_depth(region: ImageRegion) -> None:
    if isinstance(region, LabelledRegion) and region.objects == "2d" and region.roi.shape[0] > 1:
        raise BadInput(
            region.labels.path,
            "objects of slices (objects: 2d in dataset.yaml)",
            "objects that go on from slice to slice, for targets in three dimensions",
            "set dimensions=2 and offsets within the slice",
        )
