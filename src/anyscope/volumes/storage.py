"""Finished blocks on disk, until they are joined: labels of core and overlap, sums of objects, probabilities.

A block is a folder ``blocks/NUMBER`` in the workspace that appears whole or not at all: ``labels`` and ``probability``
are Zarr arrays of one shard, so that a part can be read; ``objects.npy`` holds its sums. A block without a folder is
background.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.errors import explain_os_errors
from anyscope.geometry import Roi
from anyscope.running.atomic import atomic_folder
from anyscope.volumes.grid import Block, BlockGrid
from anyscope.volumes.objects import ObjectSums

_LABELS, _PROBABILITY, _OBJECTS = "labels", "probability", "objects.npy"
_CHUNK = (16, 128, 128)


@dataclass(frozen=True)
class BlockStore:
    """The finished blocks of a workspace.

    Args:
        folder: The workspace.
        grid: The blocks.
        by_slice: Whether blocks are read slice by slice later.
    """

    folder: Path
    grid: BlockGrid
    by_slice: bool = False

    def path(self, number: int) -> Path:
        """Folder of a block."""
        return self.folder / "blocks" / f"{number // 1000:06d}" / f"{number:09d}"

    def has(self, number: int) -> bool:
        """Whether a block left data."""
        return self.path(number).is_dir()

    def write(
        self, block: Block, labels: Labels, objects: ObjectSums | None, probability: NDArray[np.uint8] | None
    ) -> None:
        """Keep a block; what is there of it already is replaced.

        Args:
            block: The block.
            labels: Of the decoded region.
            objects: Of the core; None for masks and classes.
            probability: Of the core.
        """
        final = self.path(block.number)
        with explain_os_errors(final):
            final.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(final, replace=True) as folder:
            self._write_array(folder / _LABELS, labels)
            if probability is not None:
                self._write_array(folder / _PROBABILITY, probability)
            if objects is not None:
                objects.save(folder / _OBJECTS)
            sync(folder)

    def _write_array(self, path: Path, array: NDArray[Any]) -> None:
        import zarr
        from zarr.codecs import ZstdCodec

        depth = 1 if self.by_slice else _CHUNK[0]
        chunk = tuple(min(a, b) for a, b in zip((depth, *_CHUNK[1:]), array.shape, strict=True))
        stored = zarr.create_array(
            store=str(path),
            shape=array.shape,
            dtype=array.dtype,
            chunks=chunk,
            shards=tuple(-(-length // part) * part for length, part in zip(array.shape, chunk, strict=True)),
            compressors=ZstdCodec(level=1),
            fill_value=0,
            zarr_format=3,
        )
        stored[...] = array

    def objects(self, number: int) -> ObjectSums:
        """The sums of a block."""
        return ObjectSums.load(self.path(number) / _OBJECTS)

    def labels(self, number: int, region: Roi) -> Labels:
        """Labels of a block in a region (of the volume) within what it has decoded."""
        return self._read(number, _LABELS, region, self.grid.block(number).decoded)

    def probability(self, number: int, region: Roi) -> NDArray[np.uint8]:
        """Probability of a block in a region (of the volume) within its core."""
        return self._read(number, _PROBABILITY, region, self.grid.block(number).core)

    def _read(self, number: int, name: str, region: Roi, whole: Roi) -> NDArray[Any]:
        import zarr

        path = self.path(number) / name
        if not path.is_dir():
            return np.zeros(region.shape, np.uint8)
        with explain_os_errors(path):
            z, y, x = (-first for first in whole.start)
            read: NDArray[Any] = np.asarray(zarr.open_array(store=str(path), mode="r")[region.shift((z, y, x)).slices])
        return read


def sync(folder: Path) -> None:
    """Flush all files below a folder to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
