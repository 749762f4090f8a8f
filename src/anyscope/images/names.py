"""Names of image files: suffixes, stems, and folders of images."""

from __future__ import annotations

import os
import re
from pathlib import Path

from anyscope.errors import BadInput, explain_os_errors
from anyscope.images.stored import Location

_INSIDE = re.compile(r"(?P<file>.+\.(?:h5|hdf5|hdf)):(?P<inside>/?.+)", re.IGNORECASE)

_COMPOUND = (".ome.tif", ".ome.tiff", ".ome.btf", ".ome.tf8", ".ome.tf2", ".ome.zarr")

VENDOR_FORMATS = {".czi": "Zeiss CZI", ".nd2": "Nikon ND2", ".lif": "Leica LIF", ".oir": "Olympus OIR", ".vsi": "VSI"}
"""Formats that other programs convert well."""


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The suffix that names the format, in lower case.

    >>> suffix_of("a.v2.OME.TIF"), suffix_of("a.b.png")
    ('.ome.tif', '.png')
    """
    name = Path(path).name.lower()
    for suffix in _COMPOUND:
        if name.endswith(suffix) and len(name) > len(suffix):
            return suffix
    return Path(name).suffix


def stem_of(path: str | os.PathLike[str]) -> str:
    """The name without folder, suffix and place inside the file.

    >>> stem_of("x/a.ome.tif"), stem_of("a.b.png"), stem_of("a.h5:/raw")
    ('a', 'a.b', 'a')
    """
    match = _INSIDE.fullmatch(os.fspath(path))
    file = Path(match["file"] if match else path)
    suffix = suffix_of(file)
    return file.name[: -len(suffix)] if suffix else file.name


def locate(path: str | os.PathLike[str]) -> Location:
    """Split ``file.h5:/path`` into the file and the place inside it.

    Raises:
        BadInput: There is no such file or folder.
    """
    text = os.fspath(path)
    match = _INSIDE.fullmatch(text)
    file, inside = Path(text), ""
    with explain_os_errors(text):
        if match and not file.exists():
            file, inside = Path(match["file"]), match["inside"]
        exists = file.exists()
    if not exists:
        raise BadInput(text, "no such file", remedy="check the path")
    return Location(file, inside)


def list_images(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """The images of a folder by stem, sorted; files of other kinds are passed over.

    Raises:
        BadInput: No such folder, no image in it, or two images with one stem.
    """
    from anyscope.images.readers import known_suffixes

    folder = Path(folder)
    if not folder.exists():
        raise BadInput(folder, "no such folder", remedy="check the path")
    if not folder.is_dir():
        raise BadInput(folder, "is a file", "a folder of images")
    with explain_os_errors(folder):
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    known = known_suffixes()
    images: dict[str, Path] = {}
    for entry in entries:
        suffix = suffix_of(entry)
        if suffix not in known or entry.is_dir() != suffix.endswith(".zarr"):
            continue
        stem = stem_of(entry)
        if stem in images:
            remedy = "rename or remove one of them"
            raise BadInput(folder, f"two images with the stem {stem!r}: {images[stem].name}, {entry.name}", "", remedy)
        images[stem] = entry
    if images:
        return dict(sorted(images.items()))
    vendor = [entry for entry in entries if suffix_of(entry) in VENDOR_FORMATS]
    if vendor:
        raise vendor_format(vendor[0])
    if any((folder / marker).exists() for marker in ("zarr.json", ".zgroup", ".zarray")):
        raise BadInput(folder, "is one Zarr image", "a folder of images", "give the folder that holds it")
    others = ", ".join(entry.name for entry in entries[:3])
    found = f"no image among {len(entries)} entries ({others})" if entries else "is empty"
    raise BadInput(folder, found, f"files with a suffix of {', '.join(sorted(known))}")


def vendor_format(path: Path) -> BadInput:
    """The one line that says how to convert a vendor's format."""
    remedy = "convert it to OME-TIFF with Fiji (Bio-Formats), or to OME-Zarr with: bioformats2raw IN OUT.ome.zarr"
    return BadInput(path, f"{VENDOR_FORMATS[suffix_of(path)]} is not read directly", remedy=remedy)
