"""``data synth --volume``: a dataset of one volume of any size, written chunk by chunk, with exact truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.images.pyramids import Level, create_pyramid, pyramid, write_shard
from anyscope.microscope.lattice import PITCH, Lattice
from anyscope.running.atomic import atomic_folder

VOXEL_NM = VoxelSize(8.0, 8.0, 8.0)
NAME = "volume"


def finest(shape: tuple[int, int, int]) -> Level:
    """How such a volume is stored: one resolution in shards."""
    return pyramid(shape, VOXEL_NM)[0]


def check_volume(shape: tuple[int, int, int]) -> None:
    """Refuse a volume into which no object fits.

    Raises:
        BadInput: It is too small.
    """
    if min(shape) < PITCH:
        raise BadInput("--volume", f"{shape}", f"at least {PITCH} voxels along each axis, the space of an object")


def write_synthetic_volume(
    out: Path, shape: tuple[int, int, int], seed: int, *, force: bool = False, done: Callable[[], None] = lambda: None
) -> None:
    """Write ``images/volume.ome.zarr`` (uint8) and ``labels/volume.ome.zarr`` (uint32), whole or not at all.

    The same arguments give the same bytes; see :mod:`anyscope.microscope.lattice` for what is in it.

    Args:
        out: The dataset folder to make.
        shape: Voxels (z, y, x).
        seed: Seed of the volume.
        force: Replace a folder that is there.
        done: Called after each shard.

    Raises:
        BadInput: No object fits into the volume.
    """
    check_volume(shape)
    lattice, level = Lattice(seed, shape), finest(shape)
    with atomic_folder(out, replace=force) as folder:
        images, labels = (folder / kind / f"{NAME}.ome.zarr" for kind in ("images", "labels"))
        for path, dtype, kind in ((images, np.uint8, "image"), (labels, np.uint32, "labels")):
            path.parent.mkdir()
            create_pyramid(path, (level,), np.dtype(dtype), VOXEL_NM, "labels" if kind == "labels" else "image")
        for shard in range(len(level)):
            region = level.region(shard)
            truth, grey = np.zeros(region.shape, np.uint32), np.zeros(region.shape, np.uint8)
            for chunk in level.chunks_of(region):
                z, y, x = (-first for first in region.start)
                place = chunk.shift((z, y, x)).slices
                truth[place] = lattice.labels(chunk)
                grey[place] = lattice.image(chunk, truth[place])
            write_shard(labels, 0, level, shard, truth)
            write_shard(images, 0, level, shard, grey)
            done()
        description = {"labels": "instances", "objects": "3d", "voxel_size_nm": list(VOXEL_NM)}
        (folder / "dataset.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
