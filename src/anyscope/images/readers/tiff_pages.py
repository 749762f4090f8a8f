"""Pages of TIFF files: a walk that cannot loop, checks before any allocation, and single tiles or strips."""

from __future__ import annotations

import itertools
import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anyscope.errors import BadInput
from anyscope.images.limits import array_bytes, refuse_beyond_memory, refuse_impossible
from anyscope.images.stored import Array, Box

if TYPE_CHECKING:
    from tifffile import TiffPageSeries

_CUT_OFF = "the file is cut off or damaged; copy or export it again"
_MAX_TAGS = 4096
_TAG_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value by the type of a tag (TIFF 6.0, section 2, and BigTIFF)."""
_MAX_RATIO = 1 << 17
"""No codec packs more: zstd puts at most 128 KiB of equal bytes into a block of 4."""


def count_pages(path: Path) -> int:
    """Number of pages in the chain; refused where the chain loops or leaves the file, or a value lies outside of it.

    tifffile finds only some loops, drops the pages after a break in the chain, and passes over values that are cut off.
    """
    size = path.stat().st_size
    with open(path, "rb") as handle:
        head = handle.read(16)
        order = "<" if head[:2] == b"II" else ">"
        big = head[2:4] in (b"+\0", b"\0+")
        count_format, offset_format, tag_bytes, at = ("Q", "Q", 20, 8) if big else ("H", "I", 12, 4)
        count_bytes, offset_bytes = struct.calcsize(count_format), struct.calcsize(offset_format)
        (offset,) = struct.unpack_from(order + offset_format, head, at)
        seen: set[int] = set()
        while offset:
            if offset in seen:
                raise BadInput(path, f"its pages lead back to an earlier one after page {len(seen)}", remedy=_CUT_OFF)
            seen.add(offset)
            handle.seek(min(offset, size))
            raw = handle.read(count_bytes)
            (tags,) = struct.unpack(order + count_format, raw) if len(raw) == count_bytes else (0,)
            raw = handle.read(min(tags, _MAX_TAGS) * tag_bytes + offset_bytes)
            if not 0 < tags <= _MAX_TAGS or len(raw) < tags * tag_bytes + offset_bytes:
                raise BadInput(path, f"ends within page {len(seen)}", remedy=_CUT_OFF)
            for code, kind, count, value in struct.iter_unpack(
                f"{order}HH{offset_format * 2}", raw[: tags * tag_bytes]
            ):
                n_bytes = count * _TAG_BYTES.get(kind, 0)
                if n_bytes > offset_bytes and value + n_bytes > size:
                    raise BadInput(path, f"tag {code} of page {len(seen)} reaches beyond its end", remedy=_CUT_OFF)
            (offset,) = struct.unpack_from(order + offset_format, raw, tags * tag_bytes)
    if not seen:
        raise BadInput(path, "holds no page", remedy=_CUT_OFF)
    return len(seen)


def check_pages(series: TiffPageSeries, path: Path) -> None:
    """Refuse an image whose declared size does not go with what the file stores."""
    page = series.keyframe
    size = path.stat().st_size
    dtype = np.dtype(series.dtype)
    refuse_beyond_memory(path, "one plane", array_bytes(page.shape, dtype))
    if series.dataoffset is not None:
        refuse_impossible(path, array_bytes(series.shape, dtype), size - series.dataoffset, 1)
        return
    segment = page.chunks
    refuse_beyond_memory(path, "one tile or strip", array_bytes(segment, dtype))
    bits = page.bitspersample if isinstance(page.bitspersample, int) else sum(page.bitspersample)
    declared = math.prod(series.shape) * bits // 8
    refuse_impossible(path, declared, size, 1 if page.compression == 1 else _MAX_RATIO)


def read_plane(page: Any, number: int, box: Box, path: Path) -> Array:
    """Read a box of one page, decoding only the tiles or strips that it touches.

    Args:
        page: A page of tifffile.
        number: Its number, for messages.
        box: One slice for each axis of the page.
        path: The file.
    """
    if page is None:
        raise BadInput(path, f"plane {number} is missing", remedy=_CUT_OFF)
    key = page.keyframe
    grid = key.chunked
    chunk = (1,) * (len(grid) - len(key.chunks)) + tuple(key.chunks)  # separate samples: tifffile leaves out their 1
    n_segments = math.prod(grid)
    if not min(len(page.dataoffsets), len(page.databytecounts)) >= n_segments:
        found = f"plane {number} lists {len(page.dataoffsets)} of its {n_segments} tiles or strips"
        raise BadInput(path, found, remedy=_CUT_OFF)
    if len(grid) != len(box):
        return np.asarray(page.asarray())[box]
    options: dict[str, Any] = {}
    if key.compression in (6, 7, 34892, 33007):  # the kinds of JPEG, whose tables may lie outside the segments
        options = {"jpegtables": page.jpegtables, "jpegheader": key.jpegheader}
    out = np.empty([part.stop - part.start for part in box], np.dtype(key.dtype))
    touched = [range(part.start // step, -(-part.stop // step)) for part, step in zip(box, chunk, strict=True)]
    decode = key.decode  # made before the loop, since making it moves the position in the file
    file = page.parent.filehandle
    for cell in itertools.product(*touched):
        index = int(np.ravel_multi_index(cell, grid))
        offset, n_bytes = page.dataoffsets[index], page.databytecounts[index]
        if not offset or not n_bytes or offset + n_bytes > file.size:
            raise BadInput(path, f"data of plane {number} are missing or cut off", remedy=_CUT_OFF)
        file.seek(offset)
        decoded, _, _ = decode(file.read(n_bytes), index, **options)
        # Decoded segments have axes (depth, y, x, samples); a plane with one sample or depth 1 leaves those out.
        wanted = [min(step, length - at * step) for at, step, length in zip(cell, chunk, key.shape, strict=True)]
        if key.is_tiled:
            decoded = decoded[tuple(slice(0, n) for n in _as_segment(wanted, key))]
        tile = decoded.reshape(wanted)
        target, source = [], []
        for at, step, n, part in zip(cell, chunk, wanted, box, strict=True):
            first = at * step
            low, high = max(part.start, first), min(part.stop, first + n)
            target.append(slice(low - part.start, high - part.start))
            source.append(slice(low - first, high - first))
        out[tuple(target)] = tile[tuple(source)]
    return out


def _as_segment(lengths: list[int], page: Any) -> list[int]:
    """Lengths along the axes of a page as lengths along (depth, y, x, samples) of a segment."""
    by_axis = dict(zip(page.axes, lengths, strict=True))
    samples = by_axis.get("S", 1) if page.planarconfig == 1 else 1
    return [by_axis.get("Z", 1), by_axis.get("Y", 1), by_axis.get("X", 1), samples]
