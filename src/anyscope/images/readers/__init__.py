"""One reader for each format, found by the suffix of a file and confirmed by its first bytes."""

from __future__ import annotations

from anyscope.errors import BadInput, explain_os_errors
from anyscope.images.names import VENDOR_FORMATS, suffix_of, vendor_format
from anyscope.images.readers.hdf5 import Hdf5Reader
from anyscope.images.readers.mrc import MrcReader
from anyscope.images.readers.raster import JpegReader, PngReader
from anyscope.images.readers.tiff import TiffReader
from anyscope.images.readers.zarr import ZarrReader
from anyscope.images.stored import Location, Reader
from anyscope.registry import Registry

READERS: Registry[Reader] = Registry("image format")
for _reader in (TiffReader(), PngReader(), JpegReader(), Hdf5Reader(), MrcReader(), ZarrReader()):
    READERS.add(_reader.name, _reader)

__all__ = ["READERS", "known_suffixes", "reader_for"]


def known_suffixes() -> dict[str, str]:
    """Name of the format by suffix."""
    return {suffix: name for name, reader in READERS.items() for suffix in reader.suffixes}


def reader_for(location: Location) -> Reader:
    """The reader for a file or a Zarr folder.

    Raises:
        BadInput: An empty file, a suffix that no reader knows, or content that does not match the suffix.
    """
    path = location.path
    if path.is_dir():
        return READERS["zarr"]
    suffix = suffix_of(path)
    if suffix in VENDOR_FORMATS:
        raise vendor_format(path)
    known = known_suffixes()
    if suffix not in known or suffix.endswith(".zarr"):
        expected = f"a file with a suffix of {', '.join(sorted(known))}, or a Zarr folder"
        raise BadInput(path, f"no reader for {suffix or 'files without a suffix'}", expected)
    with explain_os_errors(path), open(path, "rb") as handle:
        head = handle.read(64 * 1024)
    reader = READERS[known[suffix]]
    if not head:
        raise BadInput(path, "is an empty file", f"a {reader.name} image", "copy or export it again")
    if not reader.recognises(head):
        alike = [name for name, other in READERS.items() if other.recognises(head)]
        found = f"is not a {reader.name} file"
        remedy = f"it looks like {alike[0]}: rename it" if alike else "it is damaged, or no image at all"
        raise BadInput(path, found, remedy=remedy)
    return reader
