"""Hold out a share of images without labels, on which is measured what was learned from the others."""

from __future__ import annotations

from dataclasses import replace

from anyscope.datasets.folder import ImageRegion, UnlabelledImages
from anyscope.errors import BadInput
from anyscope.geometry import Roi
from anyscope.seeding import generator

_STACK = 5
"""Planes from which on a region is a stack of which some are held out."""


def hold_out(images: UnlabelledImages, share: float, seed: int) -> tuple[UnlabelledImages, UnlabelledImages]:
    """Images to learn from, and those that are held out; no voxel is in both.

    Of stacks of five planes and more the last ones are held out; of the other images some whole ones, or, where there
    is a single one, the end of its longer side.

    Args:
        images: All images.
        share: Share that is held out, above 0 and below 1; of each stack at least a plane, of the other images one.
        seed: Seed of which whole images are taken.

    Raises:
        BadInput: There is nothing to divide.
    """
    learn: list[ImageRegion] = []
    held: list[ImageRegion] = []
    flat = [region for region in images if region.roi.shape[0] < _STACK]
    count = min(len(flat) - 1, max(1, round(share * len(flat))))
    order = generator(seed, "held out").permutation(len(flat))[: max(0, count)]
    chosen = {id(flat[int(place)]) for place in order}
    for region in images:
        if region.roi.shape[0] >= _STACK:
            parts = _cut(region, 0, share)
        elif len(flat) == 1:
            parts = _cut(region, 1 if region.roi.shape[1] >= region.roi.shape[2] else 2, share)
        else:
            held.extend([region] if id(region) in chosen else [])
            learn.extend([] if id(region) in chosen else [region])
            continue
        learn.append(parts[0])
        held.append(parts[1])
    return UnlabelledImages(tuple(learn)), UnlabelledImages(tuple(held))


def _cut(region: ImageRegion, axis: int, share: float) -> tuple[ImageRegion, ImageRegion]:
    """Both parts of a region along an axis of (z, y, x), the larger one first."""
    start, stop = region.roi.start, region.roi.stop
    length = stop[axis] - start[axis]
    if length < 2:
        raise BadInput(region.image.path, f"{length} pixel(s) along its longest side", "an image that can be divided")
    place = stop[axis] - min(length - 1, max(1, round(share * length)))
    first = Roi(start, (*stop[:axis], place, *stop[axis + 1 :]))  # type: ignore[arg-type]
    last = Roi((*start[:axis], place, *start[axis + 1 :]), stop)  # type: ignore[arg-type]
    return replace(region, roi=first), replace(region, roi=last)
