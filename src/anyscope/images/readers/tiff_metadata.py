"""Voxel sizes from the metadata of TIFF dialects."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anyscope.images.units import NM_PER_UNIT, nm_per_unit

if TYPE_CHECKING:
    from tifffile import TiffFile

_PRINTED_NM = 20_000.0
"""Pixels larger than this in a resolution tag are dots per inch of a printer, not of a microscope."""

Found = tuple[dict[str, float], tuple[str, ...]]


def voxel_size(tiff: TiffFile) -> Found:
    """Voxel size in nm by axis letter, with remarks: from OME, ImageJ, LSM or the resolution tags."""
    if tiff.is_ome and tiff.ome_metadata:
        return _ome(tiff.ome_metadata)
    page: Any = tiff.pages.first
    if tiff.is_imagej and tiff.imagej_metadata:
        return _imagej(tiff.imagej_metadata, _resolution(page))
    if tiff.is_lsm and tiff.lsm_metadata:
        meters = {letter: float(tiff.lsm_metadata.get(f"VoxelSize{letter.upper()}", 0)) for letter in "zyx"}
        return {letter: size * 1e9 for letter, size in meters.items()}, ()
    shaped = tiff.shaped_metadata[0] if tiff.is_shaped and tiff.shaped_metadata else {}
    if shaped.get("unit"):
        return _imagej(shaped, _resolution(page))
    return _tags(page)


def count_planes(tiff: TiffFile) -> int:
    """The number of planes that OME metadata declare, before anything is allocated for them."""
    if not (tiff.is_ome and tiff.ome_metadata):
        return 0
    planes = 0
    for pixels in _pixels(tiff.ome_metadata):
        product = 1
        for size in ("SizeC", "SizeZ", "SizeT"):
            product *= max(1, int(pixels.get(size, "1")))
        planes += product
    return planes


def _pixels(xml: str) -> list[ElementTree.Element]:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return []
    return [element for element in root.iter() if element.tag.rpartition("}")[2] == "Pixels"]


def _ome(xml: str) -> Found:
    pixels = _pixels(xml)
    if not pixels:
        return {}, ("the OME metadata cannot be read",)
    sizes, notes = {}, []
    for letter in "zyx":
        text = pixels[0].get(f"PhysicalSize{letter.upper()}")
        unit = pixels[0].get(f"PhysicalSize{letter.upper()}Unit", "µm")
        factor = nm_per_unit(unit)
        if text is None:
            continue
        if factor is None:
            notes.append(f"size along {letter} in {unit!r} left out: not a length")
            continue
        sizes[letter] = float(text) * factor
    return sizes, tuple(notes)


def _imagej(metadata: Mapping[str, Any], per_unit: tuple[float, float]) -> Found:
    unit = str(metadata.get("unit", ""))
    factor = nm_per_unit(unit)
    if factor is None:
        return {}, (f"ImageJ unit {unit!r} is not a length: voxel size left out",) if unit else ()
    sizes = {letter: factor / n for letter, n in zip("xy", per_unit, strict=True) if n > 0}
    spacing = metadata.get("spacing")
    if isinstance(spacing, int | float):
        sizes["z"] = abs(float(spacing)) * factor
    return sizes, ()


def _tags(page: Any) -> Found:
    unit = {2: NM_PER_UNIT["inch"], 3: NM_PER_UNIT["cm"]}.get(page.resolutionunit)
    per_unit = _resolution(page)
    if unit is None or min(per_unit) <= 0:
        return {}, ()
    sizes = {letter: unit / n for letter, n in zip("xy", per_unit, strict=True)}
    if max(sizes.values()) > _PRINTED_NM:
        return {}, (f"resolution tag of {sizes['x'] / 1000:.0f} um is a printer's: left out",)
    return sizes, ("voxel size from the resolution tags",)


def _resolution(page: Any) -> tuple[float, float]:
    """Pixels per unit along x and y; 0 where the tag is missing or broken."""
    values = []
    for tag in (282, 283):
        value = page.tags.valueof(tag)
        fraction = isinstance(value, tuple) and len(value) == 2 and bool(value[1])
        values.append(value[0] / value[1] if fraction else 0.0)
    return values[0], values[1]
