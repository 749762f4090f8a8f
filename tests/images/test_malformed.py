"""Damaged and wrong files: a defined result or one line for the user, never a traceback, a hang or noise."""

from __future__ import annotations

import logging
import shutil
import struct
import time
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from malformed import FILES, damaged_copy

from anyscope.errors import AnyscopeError, BadInput
from anyscope.images import Image, Intensity, limits, load_unit, open_image, read_labels

SEEDS = 10  # times 30 kinds of files
SECONDS = 10.0


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("valid")
    for name, make in FILES.items():
        make(folder / name)
    return folder


def test_there_are_at_least_300_mutants() -> None:
    assert len(FILES) * SEEDS >= 300


@pytest.mark.parametrize("name", FILES)
def test_valid_files_are_read(valid: Path, name: str) -> None:
    image = open_image(valid / name)
    unit = load_unit(image, Intensity())
    assert unit.shape == image.shape
    assert unit.dtype == np.float32
    assert 0 <= unit.min() < unit.max() <= 1


@pytest.mark.parametrize("name", FILES)
def test_mutants_are_read_or_refused_in_one_line(
    valid: Path, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    refused = 0
    for seed in range(SEEDS):
        path = tmp_path / f"{seed}-{name}"
        damaged_copy(valid / name, path, seed)
        message = ""
        started = time.monotonic()
        try:
            image = open_image(path)
            unit = load_unit(image, Intensity())
            assert unit.shape == image.shape
            assert np.isfinite(unit).all()
            assert unit.min() >= 0
            assert unit.max() <= 1
        except AnyscopeError as error:
            message = str(error)
        assert time.monotonic() - started < SECONDS
        if message:
            refused += 1
            assert str(path) in message
            assert "\n" not in message
            assert len(message) < 500
    assert refused >= 1
    out, err = capfd.readouterr()
    assert out == err == ""
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".zarr")])
def test_cut_off_files_are_refused(valid: Path, tmp_path: Path, name: str, keep: float) -> None:
    data = (valid / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(BadInput, match=name):
        open_image(path).read()


def test_cut_off_chunk_of_zarr_is_refused(valid: Path, tmp_path: Path) -> None:
    store = shutil.copytree(valid / "ours.ome.zarr", tmp_path / "a.ome.zarr")
    chunk = max(
        (path for path in (store / "0" / "c").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    chunk.write_bytes(chunk.read_bytes()[:-20])
    with pytest.raises(BadInput, match="cannot be read as zarr"):
        open_image(store).read()


def test_missing_chunks_are_noted(valid: Path, tmp_path: Path) -> None:
    store = shutil.copytree(valid / "v3.zarr", tmp_path / "a.zarr")
    (store / "c" / "0" / "0" / "0").unlink()
    image = open_image(store)
    assert "1 of 6 chunks are missing: read as 0" in image.notes
    assert not image.read()[0, :2, :20].any()


def test_missing_shards_are_noted(tmp_path: Path) -> None:
    array = zarr.create_array(store=str(tmp_path / "a.zarr"), shape=(8, 8), shards=(4, 4), chunks=(2, 2), dtype="u1")
    array[:4] = 1
    assert "2 of 4 chunks are missing: read as 0" in open_image(tmp_path / "a.zarr").notes


def test_unwritten_chunks_of_hdf5_are_noted(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", shape=(8, 8), chunks=(4, 4), dtype="u1", fillvalue=3)[:4] = 1
    assert "2 of 4 chunks were never written: read as 3" in open_image(tmp_path / "a.h5").notes


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.h5", "a.mrc"])
def test_empty_and_text_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    with pytest.raises(BadInput, match="is an empty file"):
        open_image(path)
    path.write_text("this is not an image\n" * 100, encoding="utf-8")
    with pytest.raises(BadInput, match=r"is not a \w+ file; it is damaged, or no image at all"):
        open_image(path)


def test_wrong_suffix_names_the_right_one(valid: Path, tmp_path: Path) -> None:
    shutil.copy(valid / "plain.tif", tmp_path / "a.png")
    with pytest.raises(BadInput, match="it looks like tiff: rename it"):
        open_image(tmp_path / "a.png")


def test_missing_files_and_plain_folders(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        open_image(tmp_path / "a.tif")
    with pytest.raises(BadInput, match="no such file"):
        open_image(tmp_path / "a.h5:/raw")
    with pytest.raises(BadInput, match="is a folder without Zarr metadata"):
        open_image(tmp_path)
    (tmp_path / "a.zarr").write_text("a file")
    with pytest.raises(BadInput, match=r"no reader for \.zarr"):
        open_image(tmp_path / "a.zarr")


@pytest.mark.parametrize(("suffix", "maker"), [(".czi", "Zeiss"), (".ND2", "Nikon"), (".lif", "Leica")])
def test_vendor_formats_say_how_to_convert(tmp_path: Path, suffix: str, maker: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(b"x")
    with pytest.raises(BadInput, match=f"{maker}.*Fiji.*bioformats2raw"):
        open_image(tmp_path / f"a{suffix}")


def _pages(path: Path) -> list[int]:
    with tifffile.TiffFile(path) as tiff:
        return [page.offset for page in tiff.pages]


@pytest.mark.parametrize("back_to", [0, 1, 3])
def test_cyclic_pages_of_tiff_are_refused(tmp_path: Path, back_to: int) -> None:
    path = tmp_path / "a.tif"
    for _ in range(4):
        tifffile.imwrite(path, np.zeros((8, 8), np.uint8), append=True, metadata=None)
    offsets = _pages(path)
    data = bytearray(path.read_bytes())
    (tags,) = struct.unpack_from("<H", data, offsets[-1])
    struct.pack_into("<I", data, offsets[-1] + 2 + 12 * tags, offsets[back_to])
    path.write_bytes(data)
    with pytest.raises(BadInput, match="its pages lead back to an earlier one after page 4"):
        open_image(path)


def test_missing_planes_of_ome_tiff_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((3, 8, 8), np.uint8), metadata={"axes": "ZYX"}, ome=True, compression="zlib")
    path.write_bytes(
        path.read_bytes().replace(b'SizeZ="3"', b'SizeZ="9"').replace(b'PlaneCount="3"', b'PlaneCount="9"')
    )
    with pytest.raises(BadInput, match="has 3 pages, but its metadata describe 9 planes"):
        open_image(path)


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def test_absurd_sizes_are_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(20_000, 20_000))
    with pytest.raises(BadInput, match="declares 400,000,000 bytes of pixels, but stores only"):
        open_image(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(_png(2**31 - 1, 2**31 - 1))
    with pytest.raises(BadInput, match="GiB of memory here"):
        open_image(tmp_path / "b.png")
    tiff = tmp_path / "a.tif"
    tifffile.imwrite(tiff, np.zeros((8, 8), np.uint8), metadata=None, compression="zlib")
    with tifffile.TiffFile(tiff, mode="r+b") as file:
        file.pages.first.tags[257].overwrite(60_000)
        file.pages.first.tags[256].overwrite(60_000)
    with pytest.raises(BadInput, match="declares 3,600,000,000 bytes of pixels"):
        open_image(tiff)
    array = zarr.create_array(store=str(tmp_path / "a.zarr"), shape=(8, 8), chunks=(8, 8), dtype="u1")
    array[...] = 1
    document = (tmp_path / "a.zarr" / "zarr.json").read_text()
    (tmp_path / "a.zarr" / "zarr.json").write_text(document.replace("8,\n", f"{2**40},\n").replace("8\n", f"{2**40}\n"))
    with pytest.raises(BadInput, match="GiB of memory here"):
        open_image(tmp_path / "a.zarr")


def test_regions_beyond_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = zarr.create_array(store=str(tmp_path / "a.zarr"), shape=(64, 64, 64), chunks=(8, 8, 8), dtype="u1")
    array[:8] = 1
    image = open_image(tmp_path / "a.zarr")
    monkeypatch.setattr(limits, "memory_limit", lambda: 100_000)
    with pytest.raises(BadInput, match="read a smaller region"):
        image.read()


def test_metadata_that_declare_endless_planes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((3, 8, 8), np.uint8), metadata={"axes": "ZYX"}, ome=True)
    old, new = b'SizeZ="3"', b'SizeZ="3000000000000"'
    data = path.read_bytes()
    at = data.find(old)
    shift = len(new) - len(old)
    end = data.find(b"</OME>", at)
    # The description is kept at its length: what follows in the XML gives way.
    xml = data[at:end].replace(old, new)
    xml = xml.replace(b"<LightPath/>", b"", 1)
    path.write_bytes(data[:at] + xml.ljust(end - at) + data[end:])
    assert shift <= len(b"<LightPath/>")
    with pytest.raises(BadInput, match="the list of planes in its metadata needs"):
        open_image(path)


def test_codecs_that_could_run_code_are_refused(valid: Path, tmp_path: Path) -> None:
    store = shutil.copytree(valid / "v2.zarr", tmp_path / "a.zarr")
    document = (store / ".zarray").read_text()
    (store / ".zarray").write_text(document.replace('"filters": null', '"filters": [{"id": "pickle"}]'))
    with pytest.raises(BadInput, match="is packed with 'pickle'"):
        open_image(store)


def test_heaps_on_which_libhdf5_would_hang_are_refused(valid: Path, tmp_path: Path) -> None:
    data = bytearray((valid / "ilastik.h5").read_bytes())
    at = data.find(b"GCOL") + 16
    while struct.unpack_from("<H", data, at)[0]:
        at += 16 + (struct.unpack_from("<Q", data, at + 8)[0] + 7) // 8 * 8
    struct.pack_into("<Q", data, at + 8, 0)
    (tmp_path / "a.h5").write_bytes(data)
    with pytest.raises(BadInput, match="has a damaged heap of strings"):
        open_image(tmp_path / "a.h5")


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8), np.complex64))
    with pytest.raises(BadInput, match=r"complex64.*take the magnitude"):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((8, 8), 0.5, np.float32), "labels hold the number 0.5"),
        (np.full((8, 8), np.nan, np.float32), "labels hold the number nan"),
        (np.full((8, 8), 1e30, np.float64), r"labels hold the number 1e\+30"),
    ],
)
def test_labels_that_are_not_whole_numbers_are_refused(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", labels)
    with pytest.raises(BadInput, match=message):
        read_labels(tmp_path / "a.tif")


def test_several_images_in_one_file_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((8, 8), np.uint8), metadata=None)
        file.write(np.zeros((9, 9), np.uint8), metadata=None)
    with pytest.raises(BadInput, match="holds 2 images"):
        open_image(tmp_path / "a.tif")


def test_changed_files_are_noticed(valid: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    shutil.copy(valid / "grey.png", path)
    image: Image = open_image(path)
    path.write_bytes(_png(9, 9))
    with pytest.raises(BadInput):
        image.read()
