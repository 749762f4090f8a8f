"""Objects of blocks against those of the whole volume."""

from __future__ import annotations

import numpy as np
import pytest
from pyarrow import parquet
from scipy import ndimage

from anyscope.geometry import VoxelSize
from anyscope.images import load_unit, open_image, read_labels, write_image
from anyscope.inference import InferenceSettings, decoder_of, object_table, segment
from anyscope.instances import compact
from anyscope.metrics import contingency
from anyscope.metrics.partition import adapted_rand, partition_sums
from anyscope.running.engines import ThisProcess
from anyscope.volumes.decoding import for_blocks
from anyscope.volumes.grid import BlockGrid
from anyscope.volumes.plan import VolumePlan
from anyscope.volumes.run import Part, join_blocks, predict_blocks, probability_of
from tests.volumes.conftest import noise, pixelwise


def run_blocks(folder, network, image, core, overlap=None, **given):
    """Labels of a multi-channel image whose channels are the maps, done in blocks."""
    source = folder / "maps.ome.zarr"
    write_image(source, image)
    decoding = for_blocks(decoder_of(network.spec), network.spec.task)
    shape = image.shape[1:]
    grid = BlockGrid(shape, core, decoding.default_overlap if overlap is None else overlap, (1, 2, 2))
    plan = VolumePlan(
        source=str(source),
        run="none",
        spec=network.spec.to_document(),
        value_range=(0, 255),
        grid=grid,
        inference=InferenceSettings(tile=64, memory_bytes=1 << 30),
        workspace=str(folder / "labels.blocks"),
        **given,
    )
    predict_blocks(plan, ThisProcess(), Part(), resume=False, force=False)
    out = folder / "labels.ome.zarr"
    join_blocks(plan, ThisProcess(), out, None)
    whole = segment(network, load_unit(open_image(source), network.spec.intensity))
    return read_labels(out), whole


def in_order(labels):
    """Labels numbered by their first voxels."""
    ids, first = np.unique(labels, return_index=True)
    rank = np.zeros(int(ids.max()) + 1, int)
    rank[ids[ids > 0][np.argsort(first[ids > 0])]] = np.arange(1, np.count_nonzero(ids) + 1)
    return rank[labels]


DENSITY = {1: 0.22, 2: 0.09, 3: 0.07}
"""Below what percolates, so that there are many objects."""


@pytest.mark.parametrize("core", [(4, 20, 16), (9, 13, 50)])
@pytest.mark.parametrize(("dimensions", "connectivity"), [(3, 1), (3, 2), (3, 3), (2, 2)])
def test_connected_components_are_those_of_the_whole(tmp_path, use_network, core, dimensions, connectivity):
    parameters = {"dimensions": dimensions, "connectivity": connectivity, "min_size_px": 3}
    network = pixelwise(decoder={"name": "components", "parameters": parameters})
    use_network(network)
    image = np.where(np.random.default_rng(1).random((1, 10, 33, 40)) < DENSITY[connectivity], 255, 0).astype(np.uint8)
    labels, whole = run_blocks(tmp_path, network, image, core)
    assert whole.labels.max() > 40
    np.testing.assert_array_equal(labels, in_order(whole.labels))


def test_a_percolating_object_is_one(tmp_path, use_network):
    network = pixelwise(decoder={"name": "components", "parameters": {"dimensions": 3}})
    use_network(network)
    labels, whole = run_blocks(tmp_path, network, noise((10, 40, 40))[None], (4, 11, 40))
    np.testing.assert_array_equal(labels, in_order(whole.labels))


def test_masks_and_classes_need_no_joining(tmp_path, use_network):
    network = pixelwise(task="semantic")
    use_network(network)
    labels, whole = run_blocks(tmp_path, network, noise((4, 30, 30))[None], (2, 7, 30))
    np.testing.assert_array_equal(labels, whole.labels)
    assert labels.dtype == np.uint8


def balls(shape=(24, 72, 80), pitch=(12, 18, 20), seed=3):
    """Ellipsoids that hardly touch, with the maps of heads that would be predicted for them."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, int)
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    centres = np.stack(
        np.meshgrid(*(np.arange(p // 2, n, p) for n, p in zip(shape, pitch, strict=True)), indexing="ij"), -1
    )
    for number, centre in enumerate(centres.reshape(-1, 3) + rng.uniform(-1, 1, (centres.size // 3, 3)), 1):
        a, b, c = (p / 2 - rng.uniform(0.4, 1.5) for p in pitch)
        labels[((z - centre[0]) / a) ** 2 + ((y - centre[1]) / b) ** 2 + ((x - centre[2]) / c) ** 2 < 1] = number
    inner = ndimage.distance_transform_edt(ndimage.grey_erosion(labels, 3) > 0)
    boundary = (labels > 0) & (inner < 1)
    return labels, inner, boundary


OFFSETS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 6, 0), (0, 0, 6))


def maps_of(head):
    labels, inner, boundary = balls()
    if head == "affinities":
        links = []
        for offset in OFFSETS:
            moved = np.roll(labels, [-step for step in offset], (0, 1, 2))
            links.append((labels == moved) & (labels > 0))
        return labels, [labels > 0, *links]
    return labels, [labels > 0, boundary, np.clip(0.5 + inner / 8, 0, 1)]


STITCHED = {
    "watershed": ({"dimensions": 3, "seed_distance": 0.4}, "maps"),
    "peaks": ({"dimensions": 3}, "maps"),
    "watershed-2d": ({"dimensions": 2, "seed_distance": 0.4}, "maps"),
    "components": ({"dimensions": 3, "interior": 0.5}, "maps"),
    "components-grown": ({"dimensions": 3, "grow": "nearest", "grow_px": 2}, "maps"),
    "mutex_watershed": ({"dimensions": 3, "offsets": OFFSETS, "strides": (1, 1, 1)}, "affinities"),
    "agglomeration": ({"dimensions": 3, "offsets": OFFSETS}, "affinities"),
}


@pytest.mark.parametrize("name", STITCHED)
def test_stitched_objects_are_those_of_the_whole(tmp_path, use_network, name):
    parameters, kind = STITCHED[name]
    decoder = {"name": name.split("-")[0], "parameters": parameters}
    heads = ("mask", "affinities") if kind == "affinities" else ("mask", "boundary", "distance")
    given = {"offsets": OFFSETS} if kind == "affinities" else {}
    network = pixelwise(heads, decoder, **given)
    use_network(network)
    truth, maps = maps_of(kind)
    image = np.stack([np.asarray(one * 255.0, np.uint8) for one in maps])
    labels, whole = run_blocks(tmp_path, network, image, (8, 30, 40), (4, 12, 12))
    table = contingency(whole.labels, labels)
    assert adapted_rand(partition_sums(table, "segment"), self_pairs=False).error < 1e-3
    # no object of the whole is split at a face: each has one id, but for a few voxels at its rim
    shares = [
        table.counts[(table.rows == row) & (table.prediction_ids[table.cols] > 0)]
        for row in np.flatnonzero(table.reference_ids)
    ]
    assert all(share.max() > 0.95 * share.sum() for share in shares)
    assert len(np.unique(labels)) == len(np.unique(whole.labels))
    assert len(np.unique(whole.labels)) > 0.9 * len(np.unique(truth))


def test_objects_of_slices_are_linked_once_they_are_whole(tmp_path, use_network):
    decoder = {"name": "components", "parameters": {"dimensions": 2}, "linker": {"name": "overlap"}}
    network = pixelwise(decoder=decoder)
    use_network(network)
    labels, whole = run_blocks(tmp_path, network, np.uint8(255 * (balls()[0] > 0))[None], (7, 25, 30))
    np.testing.assert_array_equal(labels, in_order(whole.labels))


def test_the_table_is_that_of_the_whole_and_merges_can_be_inspected(tmp_path, use_network):
    network = pixelwise(decoder={"name": "components", "parameters": {"dimensions": 3}})
    use_network(network)
    voxel = (40.0, 8.0, 8.0)
    image = np.uint8(255 * (balls()[0] > 0))[None]
    labels, whole = run_blocks(tmp_path, network, image, (7, 25, 30), voxel=voxel, probabilities=True)
    expected = object_table(compact(labels), whole.probability, VoxelSize(*voxel))
    found = parquet.read_table(tmp_path / "labels.blocks" / "objects.parquet")
    assert found.schema == expected.schema
    for name in expected.column_names:
        np.testing.assert_allclose(
            np.asarray(found[name], float), np.asarray(expected[name], float), rtol=1e-6, err_msg=name
        )
    equivalences = parquet.read_table(tmp_path / "labels.blocks" / "equivalences.parquet")
    matches = parquet.read_table(tmp_path / "labels.blocks" / "matches.parquet")
    ids = {
        (b, i): n
        for b, i, n in zip(*(equivalences[k].to_pylist() for k in ("block", "id_in_block", "id")), strict=True)
    }
    assert matches.num_rows > 0
    for block, own, other, theirs in zip(
        *(matches[k].to_pylist() for k in ("block", "id_in_block", "other_block", "id_in_other")), strict=True
    ):
        assert ids[block, own] == ids[other, theirs]
    sizes = np.bincount(equivalences["id"].to_numpy(), equivalences["voxels"].to_numpy())[1:]
    np.testing.assert_array_equal(sizes, found["size_px"].to_numpy())
    probability = open_image(probability_of(tmp_path / "labels.ome.zarr"))
    assert probability.dtype == np.uint8
    np.testing.assert_allclose(probability.read()[0] / 255, whole.probability, atol=0.5 / 255 + 1e-6)
