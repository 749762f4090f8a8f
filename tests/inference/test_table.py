"""Tables of objects against scikit-image."""

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from skimage.measure import regionprops

from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.inference import object_table, write_table

label_images = npst.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int32, np.uint64]),
    npst.array_shapes(min_dims=3, max_dims=3, max_side=9),
    elements=st.sampled_from([0, 0, 0, 1, 2, 5, 7, 100]),
)


@settings(max_examples=60, deadline=None)
@given(label_images)
def test_rows_equal_regionprops(labels):
    probability = np.random.default_rng(0).random(labels.shape, dtype=np.float32)
    voxel = VoxelSize(50, 4, 6)
    rows = object_table(labels, probability, voxel).to_pylist()
    regions = regionprops(labels.astype(np.int64), probability)
    assert [row["id"] for row in rows] == [region.label for region in regions]
    for row, region in zip(rows, regions, strict=True):
        box = tuple(row[key] for key in ("z0", "y0", "x0", "z1", "y1", "x1"))
        assert box == region.bbox
        assert row["size_px"] == region.num_pixels
        centroid = [row[f"centroid_{axis}_px"] for axis in "zyx"]
        np.testing.assert_allclose(centroid, region.centroid, atol=1e-5)
        centroid_um = [row[f"centroid_{axis}_um"] for axis in "zyx"]
        np.testing.assert_allclose(centroid_um, np.array(region.centroid) * voxel / 1000, atol=1e-6)
        assert row["mean_probability"] == pytest.approx(region.intensity_mean, abs=1e-6)
        axes = [0, 1, 2] if labels.shape[0] > 1 else [1, 2]
        at_edge = any(region.bbox[a] == 0 or region.bbox[a + 3] == labels.shape[a] for a in axes)
        assert row["touches_border"] == at_edge
        flat = box[3] - box[0] == 1
        assert row["area_um2"] == (pytest.approx(region.num_pixels * 24e-6) if flat else None)
        assert row["volume_um3"] == (pytest.approx(region.num_pixels * 1200e-9) if labels.shape[0] > 1 else None)


def test_what_is_not_known_is_null():
    labels = np.ones((2, 3, 3), np.uint8)
    row = object_table(labels).to_pylist()[0]
    nulls = {key for key, value in row.items() if value is None}
    assert nulls == {f"centroid_{a}_um" for a in "zyx"} | {"area_um2", "volume_um3", "mean_probability"}
    row = object_table(labels[:1], voxel_size_nm=VoxelSize(None, 100, 100)).to_pylist()[0]
    assert row["area_um2"] == pytest.approx(0.09)
    assert row["volume_um3"] is None
    assert row["centroid_z_um"] is None
    assert row["centroid_y_um"] == pytest.approx(0.1)


@pytest.mark.parametrize("labels", [np.zeros((1, 4, 4), np.uint16), np.zeros((2, 4, 4), bool)])
def test_no_objects_give_the_same_columns(labels):
    table = object_table(labels, np.zeros(labels.shape, np.float32), VoxelSize(1, 1, 1))
    assert table.num_rows == 0
    assert table.schema == object_table(np.ones((1, 2, 2), np.uint8)).schema


def test_masks_and_large_ids():
    assert object_table(np.ones((1, 2, 2), bool)).to_pylist()[0]["size_px"] == 4
    labels = np.zeros((1, 4, 4), np.uint64)
    labels[0, 0, 0], labels[0, 3, 3] = 2**63 + 5, 70_000
    assert object_table(labels).column("id").to_pylist() == [70_000, 2**63 + 5]


def test_many_objects():
    labels = np.arange(1, 100_001, dtype=np.uint32).reshape(1, 250, 400).repeat(3, 1).repeat(3, 2)
    table = object_table(labels, np.ones(labels.shape, np.float32))
    assert table.num_rows == 100_000
    assert table.column("size_px").to_numpy().tolist() == [9] * 100_000


@pytest.mark.parametrize(("suffix", "read"), [(".csv", pyarrow.csv.read_csv), (".parquet", pyarrow.parquet.read_table)])
def test_tables_are_written_whole(tmp_path, suffix, read):
    table = object_table(np.eye(4, dtype=np.uint8)[None], np.full((1, 4, 4), 0.25, np.float32), VoxelSize(None, 5, 5))
    path = tmp_path / f"objects{suffix}"
    write_table(path, table)
    back = read(path)
    assert back.column_names == table.column_names
    assert back.column("mean_probability").to_pylist() == [0.25]
    assert back.column("volume_um3").to_pylist() == [None]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"\.csv or \.parquet"):
        write_table(tmp_path / "objects.xlsx", object_table(np.ones((1, 2, 2), int)))
    with pytest.raises(BadInput, match="none below 0"):
        object_table(np.full((1, 2, 2), -1))
    with pytest.raises(BadInput, match="the same for both"):
        object_table(np.ones((1, 2, 2), int), np.ones((1, 2, 3), np.float32))
