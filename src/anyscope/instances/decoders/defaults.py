"""The decoder that fits where nothing was said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anyscope.contracts import HeadLayout, Task
from anyscope.errors import BadInput
from anyscope.instances.decoders.agglomeration import Agglomeration
from anyscope.instances.decoders.base import Decoder, Dimensions, Offsets
from anyscope.instances.decoders.connected_components import Components
from anyscope.instances.decoders.mutex_watershed import MutexWatershed
from anyscope.instances.decoders.threshold import Threshold
from anyscope.instances.decoders.watershed import Watershed


def default_decoder(task: Task, heads: Sequence[str], offsets: Offsets = ()) -> Decoder:
    """What fits a task and the heads of a network where nothing was said or tuned.

    Args:
        task: ``semantic`` or ``instances``.
        heads: Names of the heads.
        offsets: (dz, dy, dx) of the affinity channels, where there are affinities.

    Raises:
        BadInput: Objects are to be made from affinities whose offsets are not given.
    """
    if task == "semantic":
        return Threshold()
    if {"boundary", "distance", "centre"} & set(heads):
        return Watershed()
    if "affinities" not in heads:
        return Components()
    if not offsets:
        raise BadInput("affinities", "no offsets", "one (dz, dy, dx) for each channel")
    in_slices = all(offset[0] == 0 for offset in offsets)
    return MutexWatershed(offsets=offsets, dimensions=2 if in_slices else 3)


def fitting_decoders(
    task: Task, layout: HeadLayout, dimensions: Dimensions = 2, anisotropy: float = 1.0
) -> tuple[Decoder, ...]:
    """Every decoder that the heads of a network suffice for, the default one first, with parameters not yet tuned.

    Args:
        task: ``semantic`` or ``instances``.
        layout: Heads, classes and offsets.
        dimensions: 3 makes objects in the volume, 2 in each slice.
        anisotropy: Distance of slices over that of pixels within them.
    """
    if task == "semantic":
        return (Threshold(),)
    common: dict[str, Any] = {"dimensions": dimensions, "anisotropy": anisotropy}
    heads = set(layout.heads)
    found: list[Decoder] = []
    if {"boundary", "distance", "centre"} & heads:
        found.append(Watershed(**common))
    if "affinities" in heads:
        found.append(MutexWatershed(offsets=layout.offsets, **common))
    if {"boundary", "affinities"} & heads:
        found.append(Agglomeration(offsets=layout.offsets, **common))
    return (*found, Components(**common))
