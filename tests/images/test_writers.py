"""Writers: what is written is read back, and other programs understand it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.geometry import VoxelSize
from anyscope.images import WRITERS, open_image, output_suffix, read_labels, write_image, write_labels
from anyscope.images.writers.dtypes import convert
from anyscope.images.writers.writer import ALL
from anyscope.seeding import generator

CASES = [(writer.suffixes[0], dtype) for _, writer in WRITERS.items() for dtype in writer.dtypes]
SIZES = st.floats(0.1, 5000).map(lambda size: float(f"{size:.4g}"))


def _sizes(voxel: VoxelSize | None) -> list[float]:
    """Numbers to compare; 0 stands for what is unknown."""
    return [size or 0.0 for size in voxel] if voxel is not None else []


def _shapes(suffix: str) -> st.SearchStrategy[tuple[int, int, int, int]]:
    channels = st.just(1) if suffix in (".png", ".mrc") else st.integers(1, 3)
    planes = st.just(1) if suffix == ".png" else st.integers(1, 4)
    return st.tuples(channels, planes, st.integers(1, 20), st.integers(1, 20))


@pytest.mark.parametrize(("suffix", "dtype"), CASES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_round_trip(tmp_path: Path, suffix: str, dtype: str, data: st.DataObject) -> None:
    # Any pattern of bits is a number: NaN, infinities and subnormals are among them.
    bits = "b1" if dtype == "b1" else f"u{dtype[1]}"
    array = data.draw(_shapes(suffix).flatmap(lambda shape: arrays(bits, shape))).view(dtype)
    z = data.draw(st.none() | SIZES)
    voxel = data.draw(st.none() | st.builds(VoxelSize, st.just(z), SIZES, SIZES))
    path = tmp_path / f"a{suffix}"
    write_image(path, array, voxel)
    image = open_image(path)
    assert image.dtype == array.dtype
    assert image.shape == array.shape
    assert np.array_equal(image.read(), array, equal_nan=array.dtype.kind == "f")
    if suffix != ".png":
        assert _sizes(image.voxel_size_nm) == pytest.approx(_sizes(voxel), rel=1e-5)
    assert not list(tmp_path.glob(".*")), "nothing temporary is left"


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".png", ".h5", ".mrc", ".ome.zarr"])
@pytest.mark.parametrize("dtype", ["b1", "u1", "u2", "u4", "i4", "i8", "u8"])
def test_labels_round_trip(tmp_path: Path, suffix: str, dtype: str) -> None:
    ids = generator(0, dtype).integers(0, 2 if dtype == "b1" else 100, (1, 12, 9)).astype(dtype)
    write_labels(tmp_path / f"a{suffix}", ids, VoxelSize(50, 4, 4))
    read = read_labels(tmp_path / f"a{suffix}")
    assert np.array_equal(read, ids)
    if suffix in (".tif", ".h5", ".ome.zarr"):
        kept = {"b1": "u1", "i8": "u1", "u8": "u1"}.get(dtype, dtype)
        assert read.dtype == np.dtype(kept)


@pytest.mark.parametrize("largest", [255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63])
def test_large_ids_get_the_smallest_type(tmp_path: Path, largest: int) -> None:
    ids = np.full((1, 2, 2), largest, np.uint64)
    write_labels(tmp_path / "a.tif", ids)
    read = read_labels(tmp_path / "a.tif")
    assert np.array_equal(read, ids)
    assert read.dtype.itemsize == next(n for n in (1, 2, 4, 8) if largest < 2 ** (8 * n))


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".png"])
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    ids = generator(1, suffix).integers(0, 300, (1, 30, 40)).astype(np.uint16)
    for name in ("a", "b"):
        write_labels(tmp_path / f"{name}{suffix}", ids, VoxelSize(None, 4.6, 4.6))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_other_libraries_read_what_is_written(tmp_path: Path) -> None:
    array = generator(2, "stack").integers(0, 60000, (2, 5, 20, 30)).astype(np.uint16)
    voxel = VoxelSize(50, 4, 5)
    write_image(tmp_path / "a.tif", array, voxel)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.imagej_metadata is not None
        assert tiff.imagej_metadata["spacing"] == 0.05
        assert tiff.imagej_metadata["unit"] == "um"
        assert tiff.series[0].axes == "ZCYX"
        assert np.array_equal(tiff.asarray(), array.transpose(1, 0, 2, 3))
    write_image(tmp_path / "a.ome.tif", array, voxel)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert 'PhysicalSizeZ="0.05"' in str(tiff.ome_metadata)
        assert tiff.series[0].axes == "CZYX"
        assert np.array_equal(tiff.asarray(), array)
    write_image(tmp_path / "a.h5", array, voxel)
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["image"], array)
        assert file["image"].attrs["element_size_um"] == pytest.approx([0.05, 0.004, 0.005])
    write_image(tmp_path / "a.mrc", array[:1], voxel)
    assert mrcfile.validate(tmp_path / "a.mrc")
    assert np.array_equal(mrcfile.read(tmp_path / "a.mrc"), array[0])


@pytest.mark.parametrize("shape", [(1, 1, 20, 30), (1, 5, 20, 30), (2, 5, 20, 30)])
@pytest.mark.parametrize("voxel", [None, VoxelSize(50, 4, 5), VoxelSize(None, 4, 5)])
def test_ome_zarr_is_valid(tmp_path: Path, shape: tuple[int, ...], voxel: VoxelSize | None) -> None:
    path = tmp_path / "a.ome.zarr"
    array = generator(3, "zarr").integers(0, 255, shape).astype(np.uint8)
    write_image(path, array, voxel)
    yaozarrs.validate_zarr_store(str(path))
    group = zarr.open_group(store=str(path), mode="r")
    assert group.metadata.zarr_format == 3
    assert group.attrs["ome"]["version"] == "0.5"
    assert np.array_equal(np.asarray(group["0"]).reshape(shape), array)


def test_empty_chunks_are_written(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.ome.zarr", np.zeros((20, 300, 300), np.uint8))
    assert not any("missing" in note for note in open_image(tmp_path / "a.ome.zarr").notes)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "message"),
    [
        ("a.png", (1, 3, 8, 8), "u1", "image with 3 planes; expected a single plane"),
        ("a.png", (2, 1, 8, 8), "u1", "2 channels"),
        ("a.png", (1, 1, 8, 8), "f4", "float32 cannot be held exactly"),
        ("a.mrc", (2, 1, 8, 8), "f4", "2 channels; expected one channel for MRC"),
        ("a.bmp", (1, 1, 8, 8), "u1", r"no writer for \.bmp"),
        ("a.tif", (1, 1, 0, 8), "u1", "is empty"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...], dtype: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        write_image(tmp_path / name, np.full(shape, 0.3).astype(dtype))
    assert not list(tmp_path.iterdir())


def test_conversion_never_changes_a_number() -> None:
    assert convert(np.array([0, 65535], np.uint64), ("u1", "u2"), Path("a"), "labels").dtype == np.uint16
    assert convert(np.array([-1, 5], np.int64), ("u1", "i2"), Path("a"), "labels").dtype == np.int16
    assert convert(np.array([0.5, np.nan]), ("f2", "f4"), Path("a"), "image").dtype == np.float16
    for numbers in (np.array([-1], np.int64), np.array([70000]), np.array([0.1])):
        with pytest.raises(BadInput, match="cannot be held exactly"):
            convert(numbers, ("u1", "u2", "f4"), Path("a"), "image") if numbers.dtype.kind == "f" else convert(
                numbers, ("u1", "u2"), Path("a"), "labels"
            )
    assert set(ALL) >= {dtype for _, writer in WRITERS.items() for dtype in writer.dtypes}


def test_programmers_mistakes() -> None:
    with pytest.raises(ValueError, match="axes"):
        write_image("a.tif", np.zeros((3, 4)))
    with pytest.raises(ValueError, match="labels are integers"):
        write_labels("a.tif", np.zeros((1, 3, 4)))
    with pytest.raises(ValueError, match="axes"):
        write_labels("a.tif", np.zeros((3, 4), int))


def test_an_output_is_replaced_but_a_foreign_folder_is_not(tmp_path: Path) -> None:
    for number in (1, 2):
        for name in ("a.tif", "a.ome.zarr"):
            write_labels(tmp_path / name, np.full((1, 8, 8), number))
            assert read_labels(tmp_path / name).max() == number
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "precious.txt").touch()
    with pytest.raises(BadInput, match="exists and is not a Zarr folder"):
        write_labels(tmp_path / "b.zarr", np.ones((1, 8, 8), int))
    assert (tmp_path / "b.zarr" / "precious.txt").exists()


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.h5", "a.mrc", "a.ome.zarr"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFault):
        write_labels(tmp_path / "file" / name, np.ones((1, 8, 8), np.uint16))


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from anyscope.errors import EnvironmentFault
from anyscope.images import WRITERS, write_image

array = np.random.default_rng(0).integers(0, 60000, (1, 1, 200, 300)).astype(np.uint16)
folder = Path(sys.argv[1])
for _, writer in WRITERS.items():  # imports its library
    write_image(folder / ("a" + writer.suffixes[0]), array[:, :, :8, :8])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for _, writer in WRITERS.items():
    try:
        write_image(folder / ("b" + writer.suffixes[0]), array)
    except EnvironmentFault as error:
        print(error)
"""


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files stands for the full disk; it holds for a whole process.
    command = [sys.executable, "-c", _FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(WRITERS)
    assert all("larger than the file system allows" in line for line in done.stdout.splitlines())
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["a"] * len(WRITERS)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.tif", ".tif"), ("a.ome.tif", ".ome.tif"), ("a.png", ".png"), ("a.jpg", ".png"), ("a.h5", ".h5"),
     ("a.mrc", ".mrc"), ("a.rec", ".mrc"), ("a.ome.zarr", ".ome.zarr"), ("a.zarr", ".zarr"), ("a.btf", ".tif")],
)  # fmt: skip
def test_outputs_in_the_format_of_the_input(tmp_path: Path, name: str, suffix: str) -> None:
    from PIL import Image as PillowImage

    array = np.ones((1, 1, 8, 8), np.uint16)
    written = tmp_path / f"w{suffix}"
    write_image(written, array)
    if name == "a.jpg":
        PillowImage.fromarray(array[0, 0].astype(np.uint8)).save(tmp_path / name)
    else:
        written.rename(tmp_path / name)
    assert output_suffix(open_image(tmp_path / name)) == suffix


def test_suffix_for_a_place_inside_a_file(tmp_path: Path) -> None:
    write_image(tmp_path / "a.h5", np.ones((1, 1, 8, 8), np.uint8))
    assert output_suffix(open_image(f"{tmp_path / 'a.h5'}:/image")) == ".h5"
