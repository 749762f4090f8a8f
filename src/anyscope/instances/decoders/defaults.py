"""The decoders that fit what a network predicts."""

from __future__ import annotations

from typing import Any

from anyscope.contracts import HeadLayout, Task
from anyscope.errors import BadInput
from anyscope.instances.decoders.agglomeration import Agglomeration
from anyscope.instances.decoders.base import Decoder, Dimensions
from anyscope.instances.decoders.connected_components import Components
from anyscope.instances.decoders.mutex_watershed import MutexWatershed
from anyscope.instances.decoders.peaks import Peaks
from anyscope.instances.decoders.threshold import Threshold
from anyscope.instances.decoders.watershed import Watershed


def default_decoder(task: Task, layout: HeadLayout) -> Decoder:
    """What fits a task and the heads of a network where nothing was said or tuned: the first of those that fit."""
    return fitting_decoders(task, layout)[0]


def fitting_decoders(
    task: Task, layout: HeadLayout, dimensions: Dimensions | None = None, anisotropy: float = 1.0
) -> tuple[Decoder, ...]:
    """Every decoder that the heads of a network suffice for, the default one first, with parameters not yet tuned.

    Affinities are read where there are neighbours along each axis; the mutex watershed needs longer ones too.

    Args:
        task: ``semantic`` or ``instances``.
        layout: Heads, classes and offsets.
        dimensions: 3 makes objects in the volume, 2 in each slice; None in the volume where affinities lead from slice
            to slice.
        anisotropy: Distance of slices over that of pixels within them.

    Raises:
        BadInput: There are affinities whose offsets are not given.
    """
    if task == "semantic":
        return (Threshold(),)
    heads = set(layout.heads)
    if "affinities" in heads and not layout.offsets:
        raise BadInput("affinities", "no offsets", "one (dz, dy, dx) for each channel")
    if dimensions is None:
        dimensions = 3 if any(dz for dz, _, _ in layout.offsets) else 2
    common: dict[str, Any] = {"dimensions": dimensions, "anisotropy": anisotropy}
    found: list[Decoder] = []
    if {"boundary", "distance", "centre"} & heads:
        found += [Watershed(**common), Peaks(**common)]
    linked = [offset for offset in layout.offsets if dimensions == 3 or offset[0] == 0]
    near = [offset for offset in linked if sum(map(abs, offset)) == 1]
    reads_links = all(any(offset[axis] for offset in near) for axis in range(3 - dimensions, 3))
    if reads_links and len(near) < len(linked):
        found.append(MutexWatershed(offsets=layout.offsets, **common))
    if reads_links or "boundary" in heads:
        found.append(Agglomeration(offsets=layout.offsets if reads_links else (), **common))
    return (*found, Components(**common))
