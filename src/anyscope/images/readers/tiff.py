"""TIFF in its microscopy dialects: plain, ImageJ, OME, LSM, BigTIFF, tiled or in strips, compressed or not."""

from __future__ import annotations

import itertools
import logging
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anyscope.errors import BadInput
from anyscope.images.limits import array_bytes, refuse_beyond_memory
from anyscope.images.readers.tiff_metadata import count_planes, voxel_size
from anyscope.images.readers.tiff_pages import check_pages, count_pages, read_plane
from anyscope.images.stored import Array, Box, Location, Reader, Stored

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_RGB, _YCBCR, _PALETTE, _WHITE_IS_ZERO = 2, 6, 3, 0


class TiffReader(Reader):
    """Tagged image files, through tifffile."""

    name = "tiff"
    suffixes = (
        ".tif", ".tiff", ".btf", ".tf8", ".tf2", ".lsm", ".ome.tif", ".ome.tiff", ".ome.btf", ".ome.tf8", ".ome.tf2",
    )  # fmt: skip

    def recognises(self, head: bytes) -> bool:
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def errors(self) -> tuple[type[Exception], ...]:
        from tifffile import TiffFileError

        # RuntimeError is the base of the errors of imagecodecs; the others come from parsing damaged tags and metadata.
        parsers = (
            RuntimeError,
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            AssertionError,
            ArithmeticError,
        )
        return (TiffFileError, OSError, EOFError, struct.error, zlib.error, *parsers)

    def find(self, location: Location) -> Stored:
        n_pages = count_pages(location.path)
        with _listening() as remarks, _opened(location.path) as tiff:
            refuse_beyond_memory(location.path, "the list of planes in its metadata", count_planes(tiff) * 64)
            series = _only_series(tiff, location.path)
            check_pages(series, location.path)
            page = series.keyframe
            letters = series.axes.lower()
            samples = dict(zip(letters, series.shape, strict=True)).get("s", 0)
            rgb = page.photometric in (_RGB, _YCBCR) and samples in (3, 4)
            grey_alpha = samples == 2 and page.photometric in (0, 1) and bool(page.extrasamples)
            if samples > 1 and not rgb and not (grey_alpha and page.extrasamples[0] in (1, 2)):
                letters = letters.replace("s", "c") if "c" not in letters else letters
            sizes, notes = voxel_size(tiff)
            dtype = np.dtype(series.dtype)
        if page.photometric == _PALETTE:
            notes += ("colour map left out: numbers are read as they are stored",)
        if page.photometric == _WHITE_IS_ZERO:
            notes += ("the file says that 0 is white: numbers are read as they are stored",)
        for remark in remarks:
            if "zeroed" in remark:
                found = f"has {n_pages} pages, but its metadata describe more"
                raise BadInput(location.path, found, "a whole image in one file", "convert it to a single file")
        notes += tuple(f"damaged metadata passed over ({remark[:100]})" for remark in remarks[:3])
        known = set("zyxcst")
        letters = "".join(letter if letter in known else "?" for letter in letters)
        return Stored(tuple(series.shape), dtype, letters, sizes, rgb, notes)

    def load(self, location: Location, stored: Stored, box: Box) -> Array:
        with _listening(), _opened(location.path) as tiff:
            series = _only_series(tiff, location.path)
            if tuple(series.shape) != stored.shape:
                raise BadInput(location.path, "changed while it was read")
            check_pages(series, location.path)
            dtype = np.dtype(series.dtype)
            if series.dataoffset is not None:
                mapped = np.memmap(
                    location.path, dtype.newbyteorder(tiff.byteorder), "r", series.dataoffset, tuple(series.shape)
                )
                return np.array(mapped[box], dtype)
            n_in_page = len(series.keyframe.shape)
            lead = len(stored.shape) - n_in_page
            planes = int(np.prod(stored.shape[:lead], dtype=np.int64))
            if planes != len(series.pages) or tuple(stored.shape[lead:]) != series.keyframe.shape:
                refuse_beyond_memory(location.path, "the whole image", array_bytes(stored.shape, dtype))
                return np.asarray(series.asarray()).reshape(stored.shape)[box]
            out = np.empty([part.stop - part.start for part in box], dtype)
            ranges = [range(part.start, part.stop) for part in box[:lead]]
            for position in itertools.product(*(range(len(numbers)) for numbers in ranges)):
                number = 0
                for at, numbers, length in zip(position, ranges, stored.shape[:lead], strict=True):
                    number = number * length + numbers[at]
                out[position] = read_plane(series.pages[number], number, box[lead:], location.path)
        return out


def _only_series(tiff: TiffFile, path: Path) -> TiffPageSeries:
    """The one image of the file."""
    several = list(tiff.series)
    if tiff.is_lsm or tiff.is_svs:
        several = several[:1]  # thumbnails and labels follow
    if not several:
        raise BadInput(path, "holds no image")
    if len(several) > 1:
        shapes = ", ".join(str(tuple(series.shape)) for series in several[:4])
        remedy = "save the one you mean into a file of its own"
        raise BadInput(path, f"holds {len(several)} images of shapes {shapes}", "one image", remedy)
    return several[0]


@contextmanager
def _opened(path: Path) -> Iterator[TiffFile]:
    """The file, on its own even where its metadata name other files."""
    from tifffile import TiffFile

    with TiffFile(path, _multifile=False) as tiff:
        yield tiff


class _Remarks(logging.Handler):
    """Collects what tifffile logs in one thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.remarks: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.remarks.append(" ".join(record.getMessage().split()))


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Keep the log of tifffile off the terminal and hand its remarks to the caller."""
    logger: Any = logging.getLogger("tifffile")
    handler = _Remarks()
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield handler.remarks
    finally:
        logger.removeHandler(handler)
