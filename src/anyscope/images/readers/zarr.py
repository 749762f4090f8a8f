"""Zarr folders: OME-Zarr 0.4 and 0.5, and plain arrays of Zarr 2 and 3."""

from __future__ import annotations

import lzma
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from anyscope.errors import BadInput
from anyscope.images.limits import array_bytes, refuse_beyond_memory
from anyscope.images.readers.ome_zarr import choose, read_node
from anyscope.images.stored import Array, Box, Location, Reader, Stored

CODECS = {
    "blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma", "delta", "shuffle", "fixedscaleoffset", "quantize",
    "bitround", "packbits", "crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "astype", "bytes",
    "transpose", "sharding_indexed",
}  # fmt: skip
"""Codecs that only ever give bytes; others (pickle above all) could run code and are refused."""

_COUNTED_CHUNKS = 1 << 16
"""Up to so many chunks are looked for when an image is opened."""

_NUMBERS = {"bool"} | {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
_NUMBERS |= {"float16", "float32", "float64", "complex64", "complex128"}


class ZarrReader(Reader):
    """Zarr stores in folders, through zarr 3."""

    name = "zarr"
    suffixes = (".zarr", ".ome.zarr")

    def recognises(self, head: bytes) -> bool:  # noqa: ARG002
        return False  # a folder, never a file

    def errors(self) -> tuple[type[Exception], ...]:
        from zarr.errors import BaseZarrError

        # Parsing of metadata raises the plain Python errors; codecs raise RuntimeError and the errors of their modules.
        plain = (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, NotImplementedError)
        # Blosc has SystemError for negative sizes.
        codecs = (RuntimeError, SystemError, OSError, EOFError, zlib.error, lzma.LZMAError, ArithmeticError)
        return (BaseZarrError, *plain, *codecs)

    def find(self, location: Location) -> Stored:
        image = choose(location.path)
        array = _open_array(image.folder, location)
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
        refuse_beyond_memory(str(location), "one chunk", array_bytes(array.shards or array.chunks, dtype))
        axes = image.axes or _named_axes(array)
        if axes is not None and len(axes) != len(shape):
            raise BadInput(str(location), f"names {len(axes)} axes for an array of shape {shape}", "one for each axis")
        notes = image.notes + _missing_chunks(array)
        sizes = image.voxel_size_nm
        return Stored(shape, dtype, axes, sizes, notes=notes, chunk=tuple(array.chunks), inside=str(image.folder))

    def load(self, location: Location, stored: Stored, box: Box) -> Array:
        array: Array = np.asarray(_open_array(Path(stored.inside), location)[box])
        return array


def _open_array(folder: Path, location: Location) -> Any:
    """The array, once its metadata are known to hold numbers and harmless codecs only."""
    import zarr

    node = read_node(folder)
    if node is None or node.kind != "array":
        raise BadInput(str(location), f"its metadata name an array that is not there ({folder.name})")
    for codec in _codecs(node.metadata):
        if codec.removeprefix("numcodecs.") not in CODECS:
            raise BadInput(str(location), f"is packed with {codec!r}", f"one of {', '.join(sorted(CODECS))}")
    kind = node.metadata.get("data_type" if node.version == 3 else "dtype")
    if kind not in _NUMBERS if node.version == 3 else np.dtype(kind).kind not in "biufc":
        raise BadInput(str(location), f"holds values of type {kind}", "numbers")
    shape = node.metadata.get("shape")
    if not isinstance(shape, list) or not all(isinstance(n, int) and 0 <= n < 2**48 for n in shape):
        raise BadInput(str(location), f"declares the shape {shape}", "a list of lengths")
    return zarr.open_array(store=str(folder), mode="r", zarr_format=node.version)


def _codecs(metadata: Any) -> Iterator[str]:
    """Names of all codecs in the metadata of an array, those inside of shards too."""
    filters = metadata.get("filters") or []
    for codec in [*(metadata.get("codecs") or []), *filters, metadata.get("compressor")]:
        if codec is None:
            continue
        yield str(codec.get("name", codec.get("id")) if isinstance(codec, dict) else codec)
        configuration = codec.get("configuration") if isinstance(codec, dict) else None
        if isinstance(configuration, dict):
            yield from _codecs({"codecs": configuration.get("codecs")})
            yield from _codecs({"codecs": configuration.get("index_codecs")})


def _named_axes(array: Any) -> str | None:
    """Axes from the names of dimensions (Zarr 3) or the attribute that xarray writes (Zarr 2)."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    if not isinstance(names, list | tuple) or len(names) != len(array.shape):
        return None
    letters = [str(name).lower() for name in names]
    return "".join(letters) if all(letter in {"z", "y", "x", "c", "t"} for letter in letters) else None


def _missing_chunks(array: Any) -> tuple[str, ...]:
    """A note where chunks are missing: Zarr reads them as the fill value."""
    stored = array.shards or array.chunks
    expected = math.prod(-(-n // c) for n, c in zip(array.shape, stored, strict=True))
    if expected > _COUNTED_CHUNKS:
        return ()
    in_one = math.prod(shard // chunk for shard, chunk in zip(stored, array.chunks, strict=True))
    missing = expected - int(array.nchunks_initialized) // in_one
    return (f"{missing} of {expected} chunks are missing: read as {array.fill_value}",) if missing > 0 else ()
