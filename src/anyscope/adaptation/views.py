"""Views: a bounded, fixed choice of cuts of images, at working pixels, on which candidates are judged.

    region --slots--> stacks of a few slices, cut in the plane --resampled once--> working pixels

The same cuts are chosen whoever asks. They are spread over the regions, then over depth and place within a region. Cuts
of both domains and of the reference are of one kind, since the border of a cut shortens objects and its depth decides
which objects are connected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Task, Unit
from anyscope.datasets.folder import ImageRegion, LabelledRegion
from anyscope.geometry import Roi
from anyscope.images import to_unit
from anyscope.images.resampling import Resampling, resample_image, resample_labels, resampling_for
from anyscope.models import SegmenterSpec
from anyscope.seeding import generator


@dataclass(frozen=True)
class Cuts:
    """How much is looked at.

    Args:
        planes: Most planes of each domain that are predicted.
        crop_px: Longest side of a cut, in working pixels.
        depth: Most consecutive slices of a cut; 1 where either domain has single planes only.
        labelled_planes: Most planes of source labels that the reference is measured on; labels are cheap to look at.
    """

    planes: int = 8
    crop_px: int = 512
    depth: int = 2
    labelled_planes: int = 64

    def for_domains(self, *domains: Sequence[ImageRegion]) -> Cuts:
        """The same with a depth that half of the regions of each domain have."""
        depths = [int(np.median([region.roi.shape[0] for region in regions])) for regions in domains if regions]
        return replace(self, depth=max(1, min([self.depth, self.planes, *depths])))


@dataclass(frozen=True, eq=False)
class View:
    """A cut of an image at working pixels.

    Args:
        image: (c, z, y, x) in 0..1, with the neighbouring slices that the network wants to see.
        core: Those of its slices that are judged.
        reference: Labels (z, y, x) of the judged slices; None where they are not known.
        valid: Which of these pixels count; None where labels are not known.
        objects: ``2d`` where ids of the reference count by slice.
    """

    image: Unit
    core: slice
    reference: Labels | None
    valid: NDArray[np.bool_] | None
    objects: Literal["2d", "3d"] | None = None


@dataclass(frozen=True)
class _Slot:
    """Where a cut lies: a region, its first and last slice, and a box (y, x) in working pixels."""

    region: int
    slices: tuple[int, int]
    start: tuple[int, int]
    shape: tuple[int, int]


def read_views(regions: Sequence[ImageRegion], spec: SegmenterSpec, zoom: float, cuts: Cuts) -> tuple[View, ...]:
    """The views of images.

    Args:
        regions: The images; labels are read where they are labelled.
        spec: Intensity, working pixel size, neighbours and task.
        zoom: Working pixels for each nominal one.
        cuts: How many and how large.
    """
    slots = list(_slots(regions, spec, zoom, cuts))
    seen = {slot.region for slot in slots}
    ranges = {index: spec.intensity.range_of(regions[index].image, regions[index].roi) for index in seen}
    return tuple(_view(regions[slot.region], slot, spec, zoom, ranges[slot.region]) for slot in slots)


def read_labels_only(
    regions: Sequence[LabelledRegion], spec: SegmenterSpec, zoom: float, cuts: Cuts
) -> tuple[list[Labels], list[NDArray[np.bool_]]]:
    """Labels and the pixels that count of as many cuts as ``cuts.labelled_planes`` allows."""
    found, counting = [], []
    for slot in _slots(regions, spec, zoom, replace(cuts, planes=cuts.labelled_planes)):
        region = regions[slot.region]
        labels, valid = _labels(region, slot, spec.task, _resampling(region, spec, zoom))
        found.append(labels)
        counting.append(valid)
    return found, counting


def _slots(regions: Sequence[ImageRegion], spec: SegmenterSpec, zoom: float, cuts: Cuts) -> Iterator[_Slot]:
    """The chosen cuts: one of each region in turn, until there are enough; of too many regions evenly spaced ones."""
    wanted = max(1, cuts.planes // cuts.depth)
    chosen = np.unique(np.linspace(0, len(regions) - 1, min(wanted, len(regions))).round().astype(int))
    queues = {int(index): _all_slots(int(index), regions[index], spec, zoom, cuts) for index in chosen}
    for turn in range(wanted):
        for queue in queues.values():
            if turn < len(queue) and wanted > 0:
                yield queue[turn]
                wanted -= 1


def _all_slots(index: int, region: ImageRegion, spec: SegmenterSpec, zoom: float, cuts: Cuts) -> list[_Slot]:
    """All cuts of a region that do not overlap, in a fixed random order."""
    depth = min(cuts.depth, region.roi.shape[0])
    working = _resampling(region, spec, zoom).working_shape(region.roi.shape[1:])
    shape = min(working[0], cuts.crop_px), min(working[1], cuts.crop_px)
    slots = [
        _Slot(index, (z, z + depth), (y, x), shape)
        for z in _starts(region.roi.shape[0], depth)
        for y in _starts(working[0], shape[0])
        for x in _starts(working[1], shape[1])
    ]
    order = generator(0, "views", region.stem).permutation(len(slots))
    return [slots[int(place)] for place in order]


def _starts(length: int, part: int) -> list[int]:
    """Where as many parts as fit begin, spread over the whole length.

    >>> _starts(10, 4), _starts(3, 3)
    ([0, 6], [0])
    """
    return [int(start) for start in np.linspace(0, length - part, max(1, length // part)).round()]


def _resampling(region: ImageRegion, spec: SegmenterSpec, zoom: float) -> Resampling:
    return resampling_for(region.pixel_size_nm, spec.pixel_size_nm, zoom)


def _own_box(region: ImageRegion, slot: _Slot, scale: float, slices: tuple[int, int]) -> Roi:
    """The box of a cut in the image's own pixels."""
    bounds = []
    for length, start, size in zip(region.roi.shape[1:], slot.start, slot.shape, strict=True):
        first = min(round(start / scale), length - 1)
        bounds.append((first, max(first + 1, min(round((start + size) / scale), length))))
    (y0, y1), (x0, x1) = bounds
    return Roi((slices[0], y0, x0), (slices[1], y1, x1)).shift(region.roi.start)


def _view(region: ImageRegion, slot: _Slot, spec: SegmenterSpec, zoom: float, value_range: tuple[float, float]) -> View:
    resampling = _resampling(region, spec, zoom)
    first = max(0, slot.slices[0] - spec.neighbours)
    last = min(region.roi.shape[0], slot.slices[1] + spec.neighbours)
    box = _own_box(region, slot, resampling.scale, (first, last))
    values = to_unit(region.image.read(box), value_range)
    image = np.stack([resample_image(values[:, z], slot.shape) for z in range(values.shape[1])], axis=1)
    core = slice(slot.slices[0] - first, slot.slices[1] - first)
    if not isinstance(region, LabelledRegion):
        return View(image, core, None, None)
    return View(image, core, *_labels(region, slot, spec.task, resampling), region.objects)


def _labels(
    region: LabelledRegion, slot: _Slot, task: Task, resampling: Resampling
) -> tuple[Labels, NDArray[np.bool_]]:
    cut = replace(region, roi=_own_box(region, slot, resampling.scale, slot.slices))
    labels, valid = cut.read_reference(task)
    return resample_labels(labels, slot.shape), resample_labels(valid, slot.shape)
