"""Readers against files that other libraries wrote."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from imagecodecs import png_encode
from PIL import Image as PillowImage

from anyscope.errors import BadInput
from anyscope.geometry import Roi, VoxelSize
from anyscope.images import READERS, ReadOptions, open_image, open_labels, read_labels
from anyscope.seeding import generator

STACK = generator(0, "stack").integers(0, 255, (7, 40, 50)).astype(np.uint8)
COLOURS = generator(0, "colours").integers(0, 255, (40, 50, 3)).astype(np.uint8)


def _sizes(voxel: VoxelSize | None) -> list[float]:
    """Numbers to compare; 0 stands for what is unknown."""
    return [size or 0.0 for size in voxel] if voxel is not None else []


def test_every_reader_says_what_it_reads() -> None:
    assert set(READERS) == {"tiff", "png", "jpeg", "hdf5", "mrc", "zarr"}
    suffixes = [suffix for _, reader in READERS.items() for suffix in reader.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(reader.errors() for _, reader in READERS.items())


# PNG and JPEG


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_colours_of_png(tmp_path: Path, dtype: str, bands: int) -> None:
    pixels = generator(2, dtype, bands).integers(0, np.iinfo(dtype).max, (30, 20, bands)).astype(dtype)
    (tmp_path / "a.png").write_bytes(png_encode(pixels.squeeze()))
    image = open_image(tmp_path / "a.png")
    assert image.dtype == np.dtype(dtype)
    assert image.shape == (1, 1, 30, 20)
    assert image.rgb == (bands >= 3)
    expected = pixels[..., 0]
    if bands >= 3:
        expected = np.rint(pixels[..., :3].astype(float) @ [0.299, 0.587, 0.114])
        assert any("luminance" in note for note in image.notes)
    assert np.abs(image.read()[0, 0] - expected.astype(float)).max() <= (1 if bands >= 3 else 0)
    for channel in range(bands):
        chosen = open_image(tmp_path / "a.png", ReadOptions(channel=channel))
        assert np.array_equal(chosen.read()[0, 0], pixels[..., channel])
    with pytest.raises(BadInput, match=f"no channel {bands}"):
        open_image(tmp_path / "a.png", ReadOptions(channel=bands))


def test_palettes_are_colours_in_images_and_ids_in_labels(tmp_path: Path) -> None:
    ids = (STACK[0] % 5).astype(np.uint8)
    picture = PillowImage.fromarray(ids, "P")
    picture.putpalette([200, 10, 10, 0, 250, 0, 0, 0, 250, 9, 9, 9, 77, 77, 77])
    picture.save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").rgb
    assert np.array_equal(read_labels(tmp_path / "a.png")[0], ids)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_labels_of_few_bits_keep_their_ids(tmp_path: Path, bits: int) -> None:
    ids = (np.arange(64).reshape(8, 8) % 2**bits).astype(np.uint8)
    packed = np.zeros((8, bits), np.uint8)
    for row in range(8):
        text = "".join(f"{number:0{bits}b}" for number in ids[row])
        packed[row] = [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]
    _write_png(tmp_path / "a.png", packed, 8, bits)
    assert np.array_equal(read_labels(tmp_path / "a.png")[0], ids)


def _write_png(path: Path, rows: np.ndarray, width: int, bits: int) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, len(rows), bits, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def test_jpeg_agrees_with_pillow_and_says_that_it_loses(tmp_path: Path) -> None:
    PillowImage.fromarray(COLOURS).save(tmp_path / "a.jpg", quality=90)
    expected = np.asarray(PillowImage.open(tmp_path / "a.jpg"))
    image = open_image(tmp_path / "a.jpg", ReadOptions(channel=1))
    assert np.array_equal(image.read()[0, 0], expected[..., 1])
    assert any("losses" in note for note in image.notes)


def test_animations_are_refused(tmp_path: Path) -> None:
    frames = [PillowImage.fromarray(plane) for plane in STACK[:3]]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(BadInput, match="an animation of 3 frames"):
        open_image(tmp_path / "a.png")


# HDF5


def test_one_data_set_or_the_named_one(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["raw"] = STACK
        file["scalar"] = 3
    assert np.array_equal(open_image(path).read()[0], STACK)
    with h5py.File(path, "a") as file:
        file["volumes/labels"] = STACK.astype(np.uint64)
    with pytest.raises(
        BadInput, match=r"holds 2 data sets \(/raw, /volumes/labels\); expected one; name it: a.h5:/raw"
    ):
        open_image(path)
    image = open_image(f"{path}:/volumes/labels")
    assert image.dtype == np.uint64
    assert np.array_equal(image.read(Roi((2, 3, 4), (5, 6, 7)))[0], STACK[2:5, 3:6, 4:7])
    with pytest.raises(BadInput, match="no data set /nothing; expected one of /raw"):
        open_image(f"{path}:/nothing")


@pytest.mark.parametrize(
    ("name", "value", "voxel"),
    [
        ("element_size_um", [0.05, 0.01, 0.01], VoxelSize(50, 10, 10)),
        ("resolution", [40.0, 4.0, 4.0], VoxelSize(40, 4, 4)),
        ("resolution", "fine", None),
    ],
)
def test_voxel_sizes_of_hdf5(tmp_path: Path, name: str, value: Any, voxel: VoxelSize | None) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", data=STACK).attrs[name] = value
    assert open_image(tmp_path / "a.h5").voxel_size_nm == (voxel and pytest.approx(voxel))


def test_axes_of_ilastik(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("exported_data", data=STACK[:2].transpose(1, 2, 0))
        dataset.attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "yxc"]})
    image = open_image(tmp_path / "a.h5")
    assert image.stored_axes == "yxc"
    assert np.array_equal(image.read(), STACK[:2, None])


# MRC


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f2", "f4"])
def test_mrc(tmp_path: Path, dtype: str) -> None:
    with mrcfile.new(tmp_path / "a.mrc", data=(STACK // 2).astype(dtype)) as mrc:
        mrc.voxel_size = (46.0, 47.0, 500.0)
    image = open_image(tmp_path / "a.mrc")
    assert image.dtype == np.dtype(dtype)
    assert image.voxel_size_nm == pytest.approx(VoxelSize(50, 4.7, 4.6))
    assert np.array_equal(image.read(Roi((2, 3, 4), (5, 6, 7)))[0], (STACK // 2)[2:5, 3:6, 4:7])
    with open(tmp_path / "a.mrc", "ab") as file:
        file.write(bytes(10))
    assert any("10 bytes larger" in note for note in open_image(tmp_path / "a.mrc").notes)


# Zarr


def _multiscale(group: zarr.Group, axes: str, unit: str | None, scale: list[float], path: str = "0") -> dict[str, Any]:
    entries = []
    for letter in axes:
        entry = {"name": letter, "type": {"c": "channel", "t": "time"}.get(letter, "space")}
        entries.append(entry | ({"unit": unit} if unit and letter in "zyx" else {}))
    levels = []
    for level in range(2):
        factors = [s * 2**level if letter in "yx" else s for s, letter in zip(scale, axes, strict=True)]
        levels.append({"path": f"{path}{level}", "coordinateTransformations": [{"type": "scale", "scale": factors}]})
    return {"name": "image", "axes": entries, "datasets": levels}


@pytest.mark.parametrize(
    ("axes", "unit", "scale", "voxel"),
    [
        ("zyx", "micrometer", [0.05, 0.004, 0.004], VoxelSize(50, 4, 4)),
        ("tczyx", "nanometer", [1, 1, 50, 4, 4], VoxelSize(50, 4, 4)),
        ("zyx", None, [1, 1, 1], None),
    ],
)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(
    tmp_path: Path, version: str, axes: str, unit: str | None, scale: list[float], voxel: VoxelSize | None
) -> None:
    path = tmp_path / "a.zarr"
    array = STACK if len(axes) == 3 else np.stack([STACK, 255 - STACK])[None]
    group = zarr.open_group(store=str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    multiscale = _multiscale(group, axes, unit, scale, "level/")
    if version == "0.4":
        group.attrs["multiscales"] = [multiscale | {"version": version}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale]}
    for level in range(2):
        data = array[..., :: 2**level, :: 2**level]
        group.create_array(f"level/{level}", data=data, chunks=(*[1] * (data.ndim - 2), 16, 16))
    image = open_image(path)
    assert image.stored_axes == axes.replace("t", "")
    assert _sizes(image.voxel_size_nm) == pytest.approx(_sizes(voxel))
    assert np.array_equal(image.read(), array[0] if array.ndim == 5 else array[None])
    assert "resolution 0 of 0..1" in image.notes


def test_a_level_named_by_the_user_knows_its_scale(tmp_path: Path) -> None:
    group = zarr.open_group(store=str(tmp_path / "a.zarr"), mode="w")
    group.attrs["ome"] = {"version": "0.5", "multiscales": [_multiscale(group, "zyx", "nanometer", [50, 4, 4], "s")]}
    for level in range(2):
        group.create_array(f"s{level}", data=STACK[:, :: 2**level, :: 2**level])
    image = open_image(tmp_path / "a.zarr" / "s1")
    assert image.voxel_size_nm == VoxelSize(50, 8, 8)
    assert image.shape == (1, 7, 20, 25)


def test_several_images_in_a_zarr_folder_are_listed(tmp_path: Path) -> None:
    group = zarr.open_group(store=str(tmp_path / "a.zarr"), mode="w")
    group.attrs["ome"] = {"multiscales": [_multiscale(group, "zyx", None, [1, 1, 1], name) for name in "ab"]}
    with pytest.raises(BadInput, match=r"holds 2 images \(a0, b0\)"):
        open_image(tmp_path / "a.zarr")
    plain = zarr.open_group(store=str(tmp_path / "b.zarr"), mode="w")
    with pytest.raises(BadInput, match="a Zarr group without an image"):
        open_image(tmp_path / "b.zarr")
    plain.create_array("one", data=STACK)
    assert np.array_equal(open_image(tmp_path / "b.zarr").read()[0], STACK)
    plain.create_array("two", data=STACK)
    with pytest.raises(BadInput, match=r"several images or arrays \(one, two\)"):
        open_image(tmp_path / "b.zarr")
    plate = zarr.open_group(store=str(tmp_path / "c.zarr"), mode="w")
    plate.attrs["ome"] = {"plate": {}}
    with pytest.raises(BadInput, match="a plate of many images"):
        open_image(tmp_path / "c.zarr")


def test_bioformats2raw_with_one_series(tmp_path: Path) -> None:
    root = zarr.open_group(store=str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    (tmp_path / "a.zarr" / "OME").mkdir()
    series = root.create_group("0")
    series.attrs["multiscales"] = [_multiscale(series, "tczyx", "micrometer", [1, 1, 0.05, 0.01, 0.01], "")]
    for level in range(2):
        series.create_array(str(level), data=STACK[None, None, :, :: 2**level, :: 2**level])
    image = open_image(tmp_path / "a.zarr")
    assert image.shape == (1, 7, 40, 50)
    assert image.voxel_size_nm == pytest.approx(VoxelSize(50, 10, 10))


def test_names_of_dimensions(tmp_path: Path) -> None:
    zarr.create_array(store=str(tmp_path / "a.zarr"), data=STACK[:3], dimension_names=["c", "y", "x"])
    assert open_image(tmp_path / "a.zarr").shape == (3, 1, 40, 50)
    old = zarr.create_array(store=str(tmp_path / "b.zarr"), data=STACK[:3], zarr_format=2)
    with pytest.raises(BadInput, match="channels or slices"):
        open_image(tmp_path / "b.zarr")
    old.attrs["_ARRAY_DIMENSIONS"] = ["z", "y", "x"]
    assert open_image(tmp_path / "b.zarr").shape == (1, 3, 40, 50)


# What all have in common


def test_options_count_more_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:3], photometric="minisblack", metadata={"axes": "ZYX"})
    image = open_image(path, ReadOptions(axes="cyx", voxel_size_nm=(5, 4), channel=2))
    assert np.array_equal(image.read(), STACK[2][None, None])
    assert image.voxel_size_nm == VoxelSize(None, 5, 4)
    assert {"axes cyx as given", "voxel size as given", "channel 2 of 3"} <= set(image.notes)
    with pytest.raises(BadInput, match="3 channels that are not colours cannot be read as grey"):
        open_image(path, ReadOptions(axes="cyx", channel="grey"))
    assert open_image(path, ReadOptions(axes="cyx")).shape == (3, 1, 40, 50)


def test_description_in_one_line(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "unit": "nm", "spacing": 50}
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata=metadata, resolution=(1 / 4.6, 1 / 4.6))
    assert open_image(tmp_path / "a.tif").describe() == "tiff, axes zyx, 7 x 40 x 50, uint8, voxel 50 x 4.6 x 4.6 nm"
    PillowImage.fromarray(COLOURS).save(tmp_path / "a.png")
    expected = "png, axes yxs, 40 x 50 x 3, uint8 (colours read as grey), voxel size unknown"
    assert open_image(tmp_path / "a.png").describe() == expected


def test_images_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", metadata={"axes": "ZYX"})
    image = pickle.loads(pickle.dumps(open_image(tmp_path / "a.tif")))
    assert np.array_equal(image.read()[0], STACK)


def test_regions_outside_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, metadata={"axes": "ZYX"})
    image = open_image(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="leaves the image"):
        image.read(Roi((0, 0, 0), (8, 40, 50)))
    assert image.read(Roi((2, 3, 4), (2, 3, 4))).shape == (1, 0, 0, 0)


@pytest.mark.parametrize("dtype", ["b1", "u1", "i4", "u8", "f4"])
def test_labels_are_integers(tmp_path: Path, dtype: str) -> None:
    ids = (STACK % 2).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["labels"] = ids
    assert open_labels(tmp_path / "a.h5").read().dtype.kind in "biu"
    labels = read_labels(tmp_path / "a.h5", Roi((1, 2, 3), (4, 5, 6)))
    assert labels.dtype.kind in "iu"
    assert np.array_equal(labels, ids[1:4, 2:5, 3:6])


def test_labels_in_colours_and_in_channels(tmp_path: Path) -> None:
    PillowImage.fromarray(np.repeat(STACK[0][..., None], 3, axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(read_labels(tmp_path / "a.png")[0], STACK[0])
    PillowImage.fromarray(COLOURS).save(tmp_path / "b.png")
    with pytest.raises(BadInput, match="colours that differ"):
        read_labels(tmp_path / "b.png")
    tifffile.imwrite(tmp_path / "c.tif", STACK[:3], photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(BadInput, match="labels with 3 channels"):
        open_labels(tmp_path / "c.tif")
    assert open_labels(tmp_path / "c.tif", ReadOptions(axes="zyx")).shape == (1, 3, 40, 50)


def test_real_images(real_data: Path) -> None:
    vnc = open_image(real_data / "em-mitochondria" / "vnc" / "images" / "stack1.tif")
    assert vnc.describe() == "tiff, axes zyx, 20 x 1024 x 1024, uint8, voxel size unknown"
    region = Roi((3, 100, 200), (5, 300, 400))
    expected = tifffile.imread(vnc.path)[region.slices]
    assert np.array_equal(vnc.read(region)[0], expected)
    stained = sorted((real_data / "nuclei-brightfield" / "dsb2018" / "images").iterdir())
    assert all(open_image(path).rgb for path in stained)
