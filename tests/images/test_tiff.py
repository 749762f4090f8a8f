"""The reader of TIFF against files that other libraries wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyscope.errors import BadInput
from anyscope.geometry import Roi, VoxelSize
from anyscope.images import ReadOptions, open_image
from anyscope.seeding import generator

STACK = generator(0, "stack").integers(0, 255, (7, 40, 50)).astype(np.uint8)
COLOURS = generator(0, "colours").integers(0, 255, (40, 50, 3)).astype(np.uint8)


def _sizes(voxel: VoxelSize | None) -> list[float]:
    """Numbers to compare; 0 stands for what is unknown."""
    return [size or 0.0 for size in voxel] if voxel is not None else []


@pytest.mark.parametrize(
    ("options", "axes", "voxel"),
    [
        ({"imagej": True, "metadata": {"axes": "ZYX", "unit": "um", "spacing": 0.05}, "resolution": (100, 200)},
         "zyx", VoxelSize(50, 5, 10)),
        ({"imagej": True, "metadata": {"axes": "CYX", "unit": "nm", "spacing": 1}, "resolution": (0.25, 0.25)},
         "cyx", VoxelSize(1, 4, 4)),
        ({"imagej": True, "metadata": {"axes": "ZYX", "unit": "pixel"}}, "zyx", None),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 4.6, "PhysicalSizeXUnit": "nm",
                                    "PhysicalSizeY": 0.0046, "PhysicalSizeZ": 500, "PhysicalSizeZUnit": "Å"}},
         "zyx", VoxelSize(50, 4.6, 4.6)),
        ({"resolution": (1e5, 1e5), "resolutionunit": "CENTIMETER"}, "zyx", VoxelSize(None, 100, 100)),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, "zyx", None),
        ({"metadata": {"axes": "CYX"}, "bigtiff": True}, "cyx", None),
    ],
)  # fmt: skip
def test_axes_and_voxel_sizes_of_tiff(
    tmp_path: Path, options: dict[str, Any], axes: str, voxel: VoxelSize | None
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, **options)
    image = open_image(tmp_path / "a.tif")
    assert image.stored_axes == axes
    assert _sizes(image.voxel_size_nm) == pytest.approx(_sizes(voxel))
    expected = STACK[:, None] if axes == "cyx" else STACK[None]
    assert np.array_equal(image.read(), expected)


@pytest.mark.parametrize("unit", ["micron", "µm", "um", "\\u00B5m"])
def test_micrometers_of_imagej(tmp_path: Path, unit: str) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", STACK, imagej=True, resolution=(10, 10), metadata={"axes": "ZYX", "unit": "um"}
    )
    data = (tmp_path / "a.tif").read_bytes()
    old = b"unit=um\n"
    new = f"unit={unit}\n".encode("latin-1")
    at = data.find(b"ImageJ=")
    end = data.find(b"\0", at)
    text = data[at:end].replace(b"hyperstack=true\n", b"").replace(old, new)
    (tmp_path / "a.tif").write_bytes(data[:at] + text.ljust(end - at, b"\n") + data[end:])
    assert open_image(tmp_path / "a.tif").voxel_size_nm == VoxelSize(None, 100, 100)


LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "strips": {"compression": "zlib", "rowsperstrip": 7},
    "tiles": {"compression": "zstd", "tile": (16, 32)},
    "lzw": {"compression": "lzw", "predictor": True},
    "raw tiles": {"tile": (32, 16)},
    "big endian": {"byteorder": ">"},
    "big endian strips": {"byteorder": ">", "compression": "zlib", "rowsperstrip": 11},
    "jpeg": {"compression": "jpeg", "tile": (16, 16)},
    "jpeg2000": {"compression": "jpeg2000"},
    "volumes": {"tile": (2, 16, 16), "compression": "zlib"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["grey", "rgb", "planar", "channels"])
def test_regions_of_tiff_agree_with_tifffile(tmp_path: Path, layout: str, kind: str) -> None:
    dtype = np.uint8 if layout in ("jpeg", "jpeg2000") else np.uint16
    rng = generator(1, layout, kind)
    shape, options = (5, 45, 67), {"photometric": "minisblack", "metadata": {"axes": "ZYX"}}
    if kind in ("rgb", "planar") and layout not in ("volumes", "jpeg2000"):
        planar = kind == "planar"
        shape = (5, 3, 45, 67) if planar else (5, 45, 67, 3)
        planes = {"planarconfig": "separate" if planar else "contig"}
        options = {"photometric": "rgb", "metadata": {"axes": "ZSYX" if planar else "ZYXS"}, **planes}
    elif kind == "channels" and layout != "volumes":
        shape, options = (5, 2, 45, 67), {"photometric": "minisblack", "metadata": {"axes": "ZCYX"}}
    array = rng.integers(0, 255, shape).astype(dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, **options, **LAYOUTS[layout])
    whole = tifffile.imread(path).reshape(shape)
    channels = {3: lambda a: a[:, None], 4: lambda a: np.moveaxis(a, 3 if a.shape[3] == 3 else 1, 1)}[len(shape)](whole)
    region = Roi((1, 5, 3), (4, 40, 60))
    for channel in range(channels.shape[1]):
        image = open_image(path, ReadOptions(channel=channel))
        expected = channels[:, channel]
        assert np.array_equal(image.read()[0], expected)
        assert np.array_equal(image.read(region)[0], expected[region.slices])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_region_of_a_tiled_tiff(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "tiled.tif"
    if not path.exists():
        tifffile.imwrite(path, STACK, tile=(16, 16), compression="zlib", metadata={"axes": "ZYX"})
    start = tuple(data.draw(st.integers(0, n - 1)) for n in STACK.shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, STACK.shape, strict=True))
    region = Roi(start, stop)
    assert np.array_equal(open_image(path).read(region)[0], STACK[region.slices])


def test_time_series_of_imagej_ask_and_obey(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "TYX"})
    with pytest.raises(BadInput, match=r"time axis of length 7 .* give --axes zyx"):
        open_image(tmp_path / "a.tif")
    assert np.array_equal(open_image(tmp_path / "a.tif", ReadOptions(axes="zyx")).read()[0], STACK)


def test_pyramids_are_read_at_full_resolution(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(STACK[0], subifds=1, metadata={"axes": "YX"})
        file.write(STACK[0, ::2, ::2], subfiletype=1)
    assert np.array_equal(open_image(tmp_path / "a.ome.tif").read()[0, 0], STACK[0])


def test_colour_maps_and_white_is_zero_are_said(tmp_path: Path) -> None:
    colormap = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], photometric="palette", colormap=colormap)
    assert any("colour map left out" in note for note in open_image(tmp_path / "a.tif").notes)
    tifffile.imwrite(tmp_path / "b.tif", STACK[0], photometric="miniswhite")
    assert any("0 is white" in note for note in open_image(tmp_path / "b.tif").notes)


def test_one_file_of_a_set_is_read_alone(tmp_path: Path) -> None:
    for number in range(2):
        tifffile.imwrite(tmp_path / f"{number}.ome.tif", STACK, metadata={"axes": "ZYX", "UUID": f"urn:uuid:{number}"})
    data = (tmp_path / "0.ome.tif").read_bytes()
    assert open_image(tmp_path / "0.ome.tif").shape == (1, 7, 40, 50)
    assert data == (tmp_path / "0.ome.tif").read_bytes()
