"""Valid files of every format, and seeded ways to damage them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import tifffile
import zarr
from PIL import Image as PillowImage

from anyscope.images import write_image, write_labels
from anyscope.seeding import generator

Maker = Callable[[Path], None]


def _stack(dtype: str = "u1", shape: tuple[int, ...] = (6, 40, 50)) -> np.ndarray:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    return np.broadcast_to((y * 3 + x) % 200, shape).astype(dtype)


def _tiff(**options: Any) -> Maker:
    array = options.pop("array", _stack())
    return lambda path: tifffile.imwrite(path, array, **options)


def _hdf5(**options: Any) -> Maker:
    def make(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("volumes/raw", data=_stack("u2"), **options).attrs["element_size_um"] = [
                0.05,
                0.01,
                0.01,
            ]

    return make


def _ilastik(path: Path) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("exported_data", data=_stack()[..., None], chunks=(3, 40, 50, 1), compression=4)
        dataset.attrs["axistags"] = json.dumps({"axes": [{"key": key, "typeFlags": 2} for key in "zyxc"]})


def _mrc(path: Path) -> None:
    with mrcfile.new(path, data=_stack("f4")) as mrc:
        mrc.voxel_size = 40.0


def _zarr(version: int) -> Maker:
    def make(path: Path) -> None:
        array = zarr.create_array(
            store=str(path), shape=(6, 40, 50), chunks=(2, 20, 50), dtype="u1", zarr_format=version
        )
        array[...] = _stack()

    return make


def _ome_zarr_04(path: Path) -> None:
    group = zarr.open_group(store=str(path), mode="w", zarr_format=2)
    scale = [{"type": "scale", "scale": [0.05, 0.01, 0.01]}]
    axes = [{"name": letter, "type": "space", "unit": "micrometer"} for letter in "zyx"]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    array = group.create_array("0", shape=(6, 40, 50), chunks=(3, 40, 50), dtype="u2")
    array[...] = _stack("u2")


def _pillow(mode: str) -> Maker:
    bands = len(mode) if mode.startswith("RGB") else 1
    shape = (40, 50) if bands == 1 else (40, 50, bands)
    pixels = np.resize(_stack()[0], shape)
    return lambda path: PillowImage.fromarray(pixels, "L" if bands == 1 else mode).convert(mode).save(path)


FILES: dict[str, Maker] = {
    "plain.tif": _tiff(),
    "big.tif": _tiff(bigtiff=True, metadata=None),
    "lzw.tif": _tiff(compression="lzw", predictor=True),
    "zlib.tif": _tiff(compression="zlib", rowsperstrip=7),
    "zstd.tif": _tiff(compression="zstd", tile=(16, 16)),
    "jpeg.tif": _tiff(compression="jpeg", tile=(16, 16)),
    "rgb_jpeg.tif": _tiff(array=np.resize(_stack(), (64, 64, 3)), compression="jpeg", photometric="rgb"),
    "packbits.tif": _tiff(compression="packbits", metadata={"axes": "ZYX"}),
    "float.tif": _tiff(array=_stack("f4"), compression="zlib", predictor=True),
    "imagej.tif": _tiff(imagej=True, metadata={"axes": "ZYX", "unit": "um", "spacing": 0.05}, resolution=(100, 100)),
    "ours.tif": lambda path: write_image(path, _stack("u2")[None]),
    "ours.ome.tif": lambda path: write_image(path, _stack("i2")[None]),
    "grey.png": _pillow("L"),
    "rgba.png": _pillow("RGBA"),
    "palette.png": _pillow("P"),
    "bit.png": _pillow("1"),
    "labels.png": lambda path: write_labels(path, _stack("u2")[:1]),
    "colours16.png": lambda path: write_image(path, np.resize(_stack("u2"), (3, 1, 40, 50))),
    "grey.jpg": _pillow("L"),
    "rgb.jpg": _pillow("RGB"),
    "plain.h5": _hdf5(),
    "chunked.h5": _hdf5(chunks=(2, 20, 50), compression="gzip", shuffle=True),
    "checked.h5": _hdf5(chunks=(3, 40, 50), compression="lzf", fletcher32=True),
    "ours.h5": lambda path: write_image(path, _stack("f2")[None]),
    "ilastik.h5": _ilastik,
    "volume.mrc": _mrc,
    "v2.zarr": _zarr(2),
    "v3.zarr": _zarr(3),
    "ome04.zarr": _ome_zarr_04,
    "ours.ome.zarr": lambda path: write_image(path, _stack("u2")[None]),
}
"""Makers of valid files by name."""


def damage(data: bytes, seed: int) -> bytes:
    """Flip bytes, cut, zero a block, splice, or overwrite numbers near the head; which one depends on the seed."""
    rng = generator(seed, "damage")
    damaged = bytearray(data)
    n = len(damaged)
    kind = rng.choice(["flip", "flip_head", "cut", "zero", "splice", "numbers", "insert"])
    if kind in ("flip", "flip_head"):
        reach = n if kind == "flip" else min(n, 512)
        for at in rng.integers(0, reach, rng.integers(1, 12)):
            damaged[at] = rng.integers(0, 256)
    elif kind == "cut":
        del damaged[rng.integers(0, n) :]
    elif kind == "zero":
        at, length = rng.integers(0, n), rng.integers(1, 2 + n // 4)
        damaged[at : at + length] = bytes(len(damaged[at : at + length]))
    elif kind == "splice":
        at, source, length = rng.integers(0, n), rng.integers(0, n), rng.integers(1, 1 + min(n, 200))
        damaged[at : at + length] = damaged[source : source + length]
    elif kind == "numbers":
        at = int(rng.integers(0, max(1, min(n, 2048) - 4)))
        damaged[at : at + 4] = rng.choice([b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\1\0"])
    else:
        at = int(rng.integers(0, n))
        damaged[at:at] = rng.bytes(int(rng.integers(1, 64)))
    return bytes(damaged)


def damaged_copy(valid: Path, target: Path, seed: int) -> None:
    """A copy of a file, or of a Zarr folder with one of its files damaged, half the time one of metadata."""
    if valid.is_file():
        target.write_bytes(damage(valid.read_bytes(), seed))
        return
    shutil.copytree(valid, target)
    rng = generator(seed, "file")
    files = sorted(path for path in target.rglob("*") if path.is_file())
    metadata = [path for path in files if path.suffix == ".json" or path.name.startswith(".z")]
    chosen = rng.choice(np.array(metadata if rng.random() < 0.5 else files, dtype=object))
    if rng.random() < 0.1:
        chosen.unlink()
    else:
        chosen.write_bytes(damage(chosen.read_bytes(), seed))
