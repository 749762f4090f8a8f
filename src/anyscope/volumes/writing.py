"""The outputs: labels and probabilities of the volume, shard by shard, finest resolution first."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from anyscope.errors import explain_os_errors
from anyscope.geometry import Roi
from anyscope.images.pyramids import Kind, Level, coarser_shard, create_pyramid, pyramid, write_shard
from anyscope.volumes.numbering import GlobalNumbers, assemble
from anyscope.volumes.plan import VolumePlan, label_dtype
from anyscope.volumes.storage import BlockStore

LABELS, PROBABILITY = "labels", "probability"
KINDS: dict[str, Kind] = {LABELS: "labels", PROBABILITY: "image"}


class ShardTask(NamedTuple):
    """A shard to write.

    Args:
        output: ``labels`` or ``probability``.
        level: Resolution, 0 the finest.
        shard: Its number.
    """

    output: str
    level: int
    shard: int


def levels_of(plan: VolumePlan) -> tuple[Level, ...]:
    """The resolutions of the outputs."""
    return pyramid(plan.grid.shape, plan.voxel_size)


def output_path(plan: VolumePlan, output: str) -> Path:
    """Where an output is until it is finished."""
    return plan.folder / f"{output}.ome.zarr"


def create_outputs(plan: VolumePlan, objects: int) -> tuple[str, ...]:
    """Make the folders of all outputs; their names."""
    names = (LABELS, PROBABILITY) if plan.probabilities else (LABELS,)
    for name in names:
        dtype = label_dtype(plan, objects) if name == LABELS else np.dtype(np.uint8)
        create_pyramid(output_path(plan, name), levels_of(plan), dtype, plan.voxel_size, KINDS[name])
    return names


def write_one(plan: VolumePlan, objects: int, task: ShardTask) -> None:
    """Write a shard of an output."""
    levels = levels_of(plan)
    level, path = levels[task.level], output_path(plan, task.output)
    if task.level:
        voxels = coarser_shard(path, task.level, levels, task.shard, KINDS[task.output])
    elif task.output == LABELS:
        store = BlockStore(plan.folder, plan.grid)
        numbers = GlobalNumbers.load(plan.folder) if plan.classes is None else None
        voxels = assemble(store, numbers, level.region(task.shard), label_dtype(plan, objects))
    else:
        voxels = _probability(BlockStore(plan.folder, plan.grid), level.region(task.shard))
    with explain_os_errors(path):
        write_shard(path, task.level, level, task.shard, voxels)


def _probability(store: BlockStore, region: Roi) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    values = np.zeros(region.shape, np.uint8)
    z, y, x = (-first for first in region.start)
    for number in store.grid.meeting(region):
        if store.has(number):
            part = store.grid.block(number).core.intersect(region)
            values[part.shift((z, y, x)).slices] = store.probability(number, part)
    return values
