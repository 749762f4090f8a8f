"""OME-Zarr 0.5 with several resolutions, written shard by shard: no shard needs another one of its resolution.

Sizes of chunks and shards follow from the shape of the volume alone, and nothing that is written depends on time, place
or who wrote it: the same voxels are the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anyscope.geometry import Roi, VoxelSize
from anyscope.images.writers.zarr import ome_metadata

Kind = Literal["image", "labels"]
Triple = tuple[int, int, int]

_DEEP_CHUNK, _FLAT_CHUNK = (32, 128, 128), (1, 512, 512)
_SHARD = (1, 4, 4)
"""Chunks in a shard: 32 MiB of labels in a deep volume, bounded whatever the volume's size."""
_COARSEST = 256
"""Resolutions are added until no side within slices is longer than this."""
_TOO_COARSE = 1.5
"""An axis is halved while its voxels are less than this times the shortest side of a voxel."""


@dataclass(frozen=True)
class Level:
    """One resolution.

    Args:
        shape: Voxels (z, y, x).
        factor: What one voxel was made of: 1 or 2 voxels of the finer resolution along each axis.
        scale: The same against the finest resolution.
        chunk: What is packed together.
        shard: What is one file.
    """

    shape: Triple
    factor: Triple
    scale: Triple
    chunk: Triple
    shard: Triple

    @property
    def shards(self) -> Triple:
        """Number of shards along each axis."""
        z, y, x = (-(-length // part) for length, part in zip(self.shape, self.shard, strict=True))
        return z, y, x

    def __len__(self) -> int:
        return prod(self.shards)

    def place(self, number: int) -> Triple:
        """Place of a shard."""
        _, rows, columns = self.shards
        return number // (rows * columns), number // columns % rows, number % columns

    def region(self, number: int) -> Roi:
        """What a shard holds."""
        start = [at * length for at, length in zip(self.place(number), self.shard, strict=True)]
        stop = [first + length for first, length in zip(start, self.shard, strict=True)]
        return Roi((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])).intersect(Roi.whole(self.shape))

    def chunks_of(self, region: Roi) -> list[Roi]:
        """A region that starts with a chunk, cut into its chunks."""
        starts = product(*(range(a, b, step) for a, b, step in zip(region.start, region.stop, self.chunk, strict=True)))
        z, y, x = self.chunk
        return [Roi((a, b, c), (a + z, b + y, c + x)).intersect(region) for a, b, c in starts]


def pyramid(shape: Triple, voxel_size_nm: VoxelSize | None = None, coarsest: int = _COARSEST) -> tuple[Level, ...]:
    """The resolutions of a volume, the finest first.

    Args:
        shape: The volume (z, y, x).
        voxel_size_nm: Its voxels; taken as cubes where unknown. Axes with long voxels are halved later than others.
        coarsest: Longest side within slices of the last resolution.
    """
    sizes = [1.0, 1.0, 1.0] if voxel_size_nm is None else [float(size or 1.0) for size in voxel_size_nm]
    levels = [_level(shape, (1, 1, 1), (1, 1, 1))]
    while max(levels[-1].shape[1:]) > coarsest:
        last = levels[-1]
        now = [size * by for size, by in zip(sizes, last.scale, strict=True)]
        halved = [
            2 if length > 1 and size < _TOO_COARSE * min(now[1:]) else 1
            for length, size in zip(last.shape, now, strict=True)
        ]
        factor = halved[0], halved[1], halved[2]
        z, y, x = (-(-length // by) for length, by in zip(last.shape, factor, strict=True))
        scale = last.scale[0] * factor[0], last.scale[1] * factor[1], last.scale[2] * factor[2]
        levels.append(_level((z, y, x), factor, scale))
    return tuple(levels)


def _level(shape: Triple, factor: Triple, scale: Triple) -> Level:
    wanted = _DEEP_CHUNK if shape[0] >= 8 else _FLAT_CHUNK
    z, y, x = (min(length, whole) for length, whole in zip(wanted, shape, strict=True))
    counts = [min(most, -(-whole // part)) for most, whole, part in zip(_SHARD, shape, (z, y, x), strict=True)]
    return Level(shape, factor, scale, (z, y, x), (z * counts[0], y * counts[1], x * counts[2]))


def create_pyramid(
    path: Path, levels: tuple[Level, ...], dtype: np.dtype[Any], voxel_size_nm: VoxelSize | None, kind: Kind
) -> None:
    """Make the folder with its metadata; the arrays hold nothing yet."""
    import zarr
    from zarr.codecs import ZstdCodec

    group = zarr.open_group(store=str(path), mode="w", zarr_format=3)
    group.attrs["ome"] = pyramid_metadata(levels, voxel_size_nm, kind)
    for number, level in enumerate(levels):
        group.create_array(
            str(number),
            shape=level.shape,
            dtype=dtype,
            chunks=level.chunk,
            shards=level.shard,
            compressors=ZstdCodec(level=3),
            fill_value=0,
            dimension_names=["z", "y", "x"],
        )


def pyramid_metadata(levels: tuple[Level, ...], voxel_size_nm: VoxelSize | None, kind: Kind) -> dict[str, Any]:
    """The attribute ``ome`` (OME-Zarr specification 0.5, "multiscales" and "image-label")."""
    ome = ome_metadata("zyx", voxel_size_nm, kind)
    multiscale = ome["multiscales"][0]
    finest = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"]
    multiscale["type"] = "mode" if kind == "labels" else "mean"
    multiscale["datasets"] = [
        {"path": str(number), "coordinateTransformations": _transformations(finest, level)}
        for number, level in enumerate(levels)
    ]
    if kind == "labels":
        ome["image-label"] = {"version": "0.5"}
    return ome


def _transformations(finest: list[float], level: Level) -> list[dict[str, Any]]:
    """Scale, and where the first voxel lies: a coarse voxel is centred between those it was made of."""
    scale = [size * by for size, by in zip(finest, level.scale, strict=True)]
    found: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if max(level.scale) > 1:
        shift = [size * (by - 1) / 2 for size, by in zip(finest, level.scale, strict=True)]
        found.append({"type": "translation", "translation": shift})
    return found


def write_shard(path: Path, number: int, level: Level, shard: int, voxels: NDArray[Any]) -> None:
    """Write one shard, and wait until it is on the disk.

    Args:
        path: The OME-Zarr.
        number: Which resolution.
        level: That resolution.
        shard: Which of its shards.
        voxels: What it holds.
    """
    import os

    import zarr

    zarr.open_array(store=str(path / str(number)), mode="r+")[level.region(shard).slices] = voxels
    file = (path / str(number) / "c").joinpath(*(str(at) for at in level.place(shard)))
    if not file.exists():
        return  # Zarr keeps no shards of zeros
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def coarser_shard(path: Path, number: int, levels: tuple[Level, ...], shard: int, kind: Kind) -> NDArray[Any]:
    """The voxels of a shard of resolution ``number``, made of those of the one before, a chunk at a time."""
    import zarr

    level, finer = levels[number], levels[number - 1]
    source = zarr.open_array(store=str(path / str(number - 1)), mode="r")
    region = level.region(shard)
    made = np.zeros(region.shape, source.dtype)
    z, y, x = (-first for first in region.start)
    for chunk in level.chunks_of(region):
        start = [at * by for at, by in zip(chunk.start, level.factor, strict=True)]
        stop = [at * by for at, by in zip(chunk.stop, level.factor, strict=True)]
        read = Roi((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])).intersect(Roi.whole(finer.shape))
        made[chunk.shift((z, y, x)).slices] = coarser(np.asarray(source[read.slices]), level.factor, kind)
    return made


def coarser(voxels: NDArray[Any], factor: Triple, kind: Kind) -> NDArray[Any]:
    """Voxels (z, y, x) at a lower resolution.

    Labels take the label that occurs most often, the first of several in raster order; images take the mean, rounded
    half up where they are integers. An odd last voxel counts twice.

    Args:
        voxels: The finer ones.
        factor: 1 or 2 along each axis.
        kind: ``labels`` or ``image``.

    >>> coarser(np.array([[[1, 2, 5], [2, 0, 5]]], np.uint8), (1, 2, 2), "labels").tolist()
    [[[2, 5]]]
    >>> coarser(np.array([[[1, 2, 5], [2, 0, 5]]], np.uint8), (1, 2, 2), "image").tolist()
    [[[1, 5]]]
    """
    padding = [(0, length % by) for length, by in zip(voxels.shape, factor, strict=True)]
    even = np.pad(voxels, padding, mode="edge") if any(after for _, after in padding) else voxels
    samples = [even[tuple(slice(at, None, by) for at, by in zip(first, factor, strict=True))]
               for first in product(*(range(by) for by in factor))]  # fmt: skip
    if kind == "image":
        wide = np.uint64 if voxels.dtype.kind in "bu" else np.int64 if voxels.dtype.kind == "i" else np.float64
        total = np.zeros(samples[0].shape, wide)
        for sample in samples:
            total += sample
        n = len(samples)
        mean = (total + n // 2) // n if voxels.dtype.kind in "iu" else total / n
        return np.asarray(mean, voxels.dtype)
    chosen = samples[0].copy()
    mixed = np.zeros(chosen.shape, bool)
    for sample in samples[1:]:
        mixed |= sample != chosen
    if mixed.any():
        chosen[mixed] = _most_frequent(np.stack([sample[mixed] for sample in samples]))
    return chosen


def _most_frequent(samples: NDArray[Any]) -> NDArray[Any]:
    """Of each column (samples, n) the value that occurs most often, the first of several."""
    counts = np.zeros(samples.shape, np.uint8)
    for row in samples:
        counts += samples == row
    return np.asarray(np.take_along_axis(samples, counts.argmax(axis=0)[None], axis=0)[0])
