"""PNG and JPEG: one plane, read as a whole."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anyscope.errors import BadInput
from anyscope.images.limits import refuse_beyond_memory, refuse_impossible
from anyscope.images.stored import Array, Box, Location, Reader, Stored

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_PIXELS = {
    "1": (np.dtype(bool), "yx"),
    "L": (np.dtype(np.uint8), "yx"),
    "I;16": (np.dtype(np.uint16), "yx"),
    "I": (np.dtype(np.int32), "yx"),
    "LA": (np.dtype(np.uint8), "yxs"),
    "RGB": (np.dtype(np.uint8), "yxs"),
    "RGBA": (np.dtype(np.uint8), "yxs"),
}
"""dtype and axes by the mode of Pillow."""

_WARNINGS = threading.Lock()
"""Filters of warnings are global to the process."""


class _RasterReader(Reader):
    """What PNG and JPEG share: the header says everything, Pillow decodes."""

    @abstractmethod
    def _open(self, path: Path) -> ImageFile:
        """The file as an image of Pillow, of this format and no other, with its size checked."""

    def errors(self) -> tuple[type[Exception], ...]:
        # SyntaxError is what Pillow raises on broken PNG chunks; the last ones come from its parsers.
        return OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, struct.error, zlib.error

    def find(self, location: Location) -> Stored:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = self._open(location.path)
            with image:
                mode, (width, height) = self._mode(image, location), image.size
                frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise BadInput(location.path, f"is an animation of {frames} frames", "one image", "save the frames as TIFF")
        dtype, axes = _PIXELS[mode]
        notes = (f"{image.mode} colours converted to {mode}",) if image.mode != mode else ()
        bands = len(mode) if axes == "yxs" else 1
        shape = (height, width, bands) if axes == "yxs" else (height, width)
        return Stored(shape, dtype, axes, rgb=axes == "yxs", notes=notes)

    def load(self, location: Location, stored: Stored, box: Box) -> Array:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with self._open(location.path) as image:
                mode = self._mode(image, location)
                array = np.asarray(image if image.mode == mode else image.convert(mode))
        return array.astype(stored.dtype, copy=False)[box]

    def _mode(self, image: ImageFile, location: Location) -> str:
        """The mode in which to read: palettes become colours, or ids where labels are read."""
        if image.mode == "P":
            return "P" if location.labels else "RGB"
        if image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
            return "RGB"
        return {"PA": "RGBA", "La": "LA", "RGBa": "RGBA", "I;16B": "I;16", "I;16L": "I;16"}.get(image.mode, image.mode)


_PIXELS["P"] = (np.dtype(np.uint8), "yx")


class PngReader(_RasterReader):
    """Portable Network Graphics. Pillow would cut 16-bit colours down to 8 bits, so libpng decodes those."""

    name = "png"
    suffixes = (".png",)

    def recognises(self, head: bytes) -> bool:
        return head.startswith(b"\x89PNG\r\n\x1a\n")

    def errors(self) -> tuple[type[Exception], ...]:
        from imagecodecs import PngError

        return (*super().errors(), PngError)

    def find(self, location: Location) -> Stored:
        width, height, bits, kind = _png_header(location.path)
        if bits == 16 and kind in _PNG_BANDS:
            return Stored((height, width, _PNG_BANDS[kind]), np.dtype(np.uint16), "yxs", rgb=True)
        stored = super().find(location)
        if location.labels and kind == 0 and bits in (2, 4):
            return Stored(stored.shape, stored.dtype, "yx", notes=(f"{bits}-bit labels",))
        return stored

    def load(self, location: Location, stored: Stored, box: Box) -> Array:
        _, _, bits, kind = _png_header(location.path)
        if bits == 16 and kind in _PNG_BANDS:
            from imagecodecs import png_decode

            array: Array = png_decode(location.path.read_bytes())
            return array[box]
        array = super().load(location, stored, box)
        if location.labels and kind == 0 and bits in (2, 4):
            array = array // {2: 85, 4: 17}[bits]  # Pillow stretches 2 and 4 bits to 0..255; ids are not brightness
        return array

    def _open(self, path: Path) -> ImageFile:
        from PIL.PngImagePlugin import PngImageFile

        _png_header(path)
        return PngImageFile(path)


_PNG_BANDS = {2: 3, 4: 2, 6: 4}
"""Bands by colour type of PNG: RGB, grey with alpha, RGBA."""


def _png_header(path: Path) -> tuple[int, int, int, int]:
    """Width, height, bits and colour type; refused where deflate (at most 1032 to 1) cannot give so many pixels."""
    with open(path, "rb") as handle:
        head = handle.read(26)
    if len(head) < 26 or head[12:16] != b"IHDR":
        raise ValueError("the header is missing")
    width, height, bits, kind = struct.unpack(">IIBB", head[16:26])
    n_bytes = width * height * _PNG_BANDS.get(kind, 1) * bits // 8
    refuse_beyond_memory(path, f"an image of {height} x {width}", n_bytes)
    refuse_impossible(path, n_bytes, path.stat().st_size, 1100)
    return width, height, bits, kind


class JpegReader(_RasterReader):
    """JPEG, whose losses are noted."""

    name = "jpeg"
    suffixes = (".jpg", ".jpeg")

    def recognises(self, head: bytes) -> bool:
        return head.startswith(b"\xff\xd8\xff")

    def find(self, location: Location) -> Stored:
        stored = super().find(location)
        note = "jpeg compresses with losses" + (": ids may be wrong at the rims" if location.labels else "")
        return Stored(stored.shape, stored.dtype, stored.axes, rgb=stored.rgb, notes=(*stored.notes, note))

    def _open(self, path: Path) -> ImageFile:
        from PIL.JpegImagePlugin import JpegImageFile

        image = JpegImageFile(path)
        # A block of 64 pixels takes at least a bit in a baseline file; progressive ones may skip runs of blocks.
        refuse_beyond_memory(path, f"an image of {image.height} x {image.width}", image.width * image.height * 4)
        refuse_impossible(path, image.width * image.height, path.stat().st_size, 20_000)
        return image
