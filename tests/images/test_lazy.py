"""A region costs what the region holds, not what the file holds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile

from anyscope.geometry import Roi
from anyscope.images import Intensity, open_image, write_image

SHAPE = (100, 1024, 1024)
MIB = 2**20


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return ((z * 7 + y // 8 * 3 + x // 8 * 5) % 251).astype(np.uint8)


@pytest.fixture(
    scope="module", params=["plain.tif", "tiles.tif", "ours.tif", "volume.h5", "volume.mrc", "volume.ome.zarr"]
)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, stack: np.ndarray) -> Path:
    path: Path = tmp_path_factory.mktemp("large") / request.param
    if request.param == "plain.tif":
        tifffile.imwrite(path, stack, metadata={"axes": "ZYX"})
    elif request.param == "tiles.tif":
        tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, tile=(256, 256), compression="zstd")
    else:
        write_image(path, stack[None] if not request.param.endswith(".mrc") else stack[None].astype(np.int16))
    return path


def _bytes_read() -> int:
    """Bytes that this process has got from read calls."""
    counters = Path("/proc/self/io")
    if not counters.exists():
        return 0
    return int(counters.read_text(encoding="ascii").splitlines()[0].split()[1])


@contextmanager
def _at_most(n_bytes: int) -> Iterator[None]:
    """Neither allocate nor read more than ``n_bytes``."""
    tracemalloc.start()
    before = _bytes_read()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert _bytes_read() - before < n_bytes
    assert peak < n_bytes


def test_a_region_is_read_without_the_rest(path: Path, stack: np.ndarray) -> None:
    open_image(path).read(Roi((0, 0, 0), (1, 1, 1)))  # imports its library
    region = Roi((50, 300, 400), (51, 364, 464))
    with _at_most(8 * MIB):
        pixels = open_image(path).read(region)
    assert np.array_equal(pixels[0], stack[region.slices])


def test_the_range_of_a_large_image_takes_bounded_memory(tmp_path: Path) -> None:
    mapped = tifffile.memmap(tmp_path / "a.tif", shape=(400, 1024, 1024), dtype=np.uint8, metadata={"axes": "ZYX"})
    mapped[100:] = 200
    del mapped
    image = open_image(tmp_path / "a.tif")
    with _at_most(64 * MIB):
        low, high = Intensity().range_of(image)
    assert (low, high) == (0, 200)
