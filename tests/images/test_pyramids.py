from __future__ import annotations

import numpy as np
import pytest
import yaozarrs
import zarr

from anyscope.geometry import Roi, VoxelSize
from anyscope.images import open_image
from anyscope.images.pyramids import coarser, coarser_shard, create_pyramid, pyramid, write_shard


def test_long_axes_are_halved_later():
    levels = pyramid((40, 1000, 1100), VoxelSize(32.0, 8.0, 8.0))
    assert [level.factor for level in levels] == [(1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2)]
    assert levels[-1].shape == (20, 125, 138)
    assert pyramid((1, 300, 300))[1].shape == (1, 150, 150)
    for level in levels:
        covered = np.zeros(level.shape, int)
        for shard in range(len(level)):
            covered[level.region(shard).slices] += 1
            for chunk in level.chunks_of(level.region(shard)):
                assert all(at % step == 0 for at, step in zip(chunk.start, level.chunk, strict=True))
        assert (covered == 1).all()


@pytest.mark.parametrize("factor", [(1, 2, 2), (2, 2, 2), (2, 1, 1)])
def test_labels_by_mode_and_images_by_mean(factor):
    labels = np.random.default_rng(0).integers(0, 4, (5, 7, 6)).astype(np.uint32)
    by_mode, by_mean = coarser(labels, factor, "labels"), coarser(labels.astype(np.uint8), factor, "image")
    padded = np.pad(labels, [(0, n % f) for n, f in zip(labels.shape, factor, strict=True)], mode="edge")
    for place in np.ndindex(*by_mode.shape):
        cell = padded[tuple(slice(at * f, at * f + f) for at, f in zip(place, factor, strict=True))].ravel().tolist()
        assert by_mode[place] == max(cell, key=lambda value: (cell.count(value), -cell.index(value)))
        assert by_mean[place] == int(np.floor(np.mean(cell) + 0.5))


@pytest.mark.parametrize("kind", ["labels", "image"])
def test_what_is_written_is_valid_and_read_by_others(tmp_path, kind):
    voxel, shape = VoxelSize(8.0, 8.0, 8.0), (9, 300, 530)
    path, levels = tmp_path / "volume.ome.zarr", pyramid(shape, voxel)
    voxels = np.random.default_rng(0).integers(0, 200, shape).astype(np.uint8)
    create_pyramid(path, levels, voxels.dtype, voxel, kind)
    for number, level in enumerate(levels):
        for shard in range(len(level)):
            made = (
                voxels[level.region(shard).slices] if not number else coarser_shard(path, number, levels, shard, kind)
            )
            write_shard(path, number, level, shard, made)
    yaozarrs.validate_zarr_store(str(path))
    assert len(levels) == 3
    np.testing.assert_array_equal(zarr.open_array(str(path / "0"), mode="r")[...], voxels)
    first = coarser(voxels, levels[1].factor, kind)
    np.testing.assert_array_equal(zarr.open_array(str(path / "1"), mode="r")[...], first)
    again = coarser(first, levels[2].factor, kind)
    np.testing.assert_array_equal(zarr.open_array(str(path / "2"), mode="r")[...], again)
    image = open_image(path)
    assert image.voxel_size_nm == voxel
    np.testing.assert_array_equal(image.read(Roi((2, 10, 20), (5, 50, 60)))[0], voxels[2:5, 10:50, 20:60])
    coarse = open_image(path / "1")
    assert coarse.voxel_size_nm == VoxelSize(16.0, 16.0, 16.0)
    document = zarr.open_group(str(path), mode="r").attrs["ome"]
    assert ("image-label" in document) == (kind == "labels")
