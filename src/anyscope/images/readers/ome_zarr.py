"""Metadata of Zarr folders: nodes, and which of their arrays is the image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from anyscope.errors import BadInput
from anyscope.images.units import nm_per_unit

_MAX_JSON_BYTES = 64 * 2**20
_MAX_DEPTH = 6
_NOT_IMAGES = ("OME", "labels")


@dataclass(frozen=True)
class Node:
    """A Zarr group or array: its metadata and attributes, and the version of the Zarr format."""

    kind: Literal["array", "group"]
    version: Literal[2, 3]
    metadata: Mapping[str, Any]
    attributes: Mapping[str, Any]

    @property
    def ome(self) -> Mapping[str, Any]:
        """Where OME metadata lie: under the key "ome" since version 0.5."""
        inner = self.attributes.get("ome")
        return inner if isinstance(inner, dict) else self.attributes


@dataclass(frozen=True)
class Chosen:
    """The array that is the image, and what OME metadata say about it."""

    folder: Path
    axes: str | None = None
    voxel_size_nm: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_node(folder: Path) -> Node | None:
    """The Zarr node in a folder, None where there is none."""
    if (folder / "zarr.json").is_file():
        metadata = _json(folder / "zarr.json")
        kind = metadata.get("node_type")
        if kind not in ("array", "group"):
            raise BadInput(folder / "zarr.json", f"node_type {kind!r}", '"array" or "group"')
        attributes = metadata.get("attributes")
        return Node(kind, 3, metadata, attributes if isinstance(attributes, dict) else {})
    attributes = _json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}
    if (folder / ".zarray").is_file():
        return Node("array", 2, _json(folder / ".zarray"), attributes)
    if (folder / ".zgroup").is_file():
        return Node("group", 2, _json(folder / ".zgroup"), attributes)
    return None


def choose(folder: Path, depth: int = 0) -> Chosen:
    """Find the one image of a folder.

    Raises:
        BadInput: No Zarr metadata, or several images: they are listed.
    """
    node = read_node(folder)
    if node is None:
        found = "is a folder without Zarr metadata (no zarr.json, .zarray or .zgroup)"
        raise BadInput(folder, found, "an image file or a Zarr folder", "give an image, not a folder of images")
    if node.kind == "array":
        return _as_level_of_parent(folder) or Chosen(folder)
    if "plate" in node.ome:
        raise BadInput(folder, "is a plate of many images", "one image", f"name one, such as {folder.name}/A/1/0")
    multiscales = node.ome.get("multiscales")
    if isinstance(multiscales, list) and multiscales:
        if len(multiscales) > 1:
            names = ", ".join(str(_first_path(multiscale)) for multiscale in multiscales)
            raise BadInput(folder, f"holds {len(multiscales)} images ({names})", "one", "name the array to read")
        return _level(folder, multiscales[0], 0)
    children = [
        child
        for child in sorted(folder.iterdir())
        if child.is_dir() and child.name not in _NOT_IMAGES and read_node(child) is not None
    ]
    if not children or depth > _MAX_DEPTH:
        raise BadInput(folder, "is a Zarr group without an image", "an array or OME-Zarr metadata")
    if len(children) > 1:
        names = ", ".join(child.name for child in children[:8])
        raise BadInput(folder, f"holds several images or arrays ({names})", "one", f"name one: {children[0]}")
    return choose(children[0], depth + 1)


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise BadInput(path, f"has {path.stat().st_size:,} bytes", f"at most {_MAX_JSON_BYTES:,} bytes of metadata")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInput(
            path, f"is not valid JSON ({error})", remedy="the metadata are damaged; copy it again"
        ) from error
    if not isinstance(document, dict):
        raise BadInput(path, "is not a JSON object", "Zarr metadata", "the metadata are damaged; copy it again")
    return document


def _first_path(multiscale: Any) -> Any:
    return multiscale["datasets"][0]["path"]


def _as_level_of_parent(folder: Path) -> Chosen | None:
    """An array that the user named within an OME-Zarr image: its axes and scale are known from there."""
    parent = read_node(folder.absolute().parent)
    multiscales = parent.ome.get("multiscales") if parent is not None else None
    for multiscale in multiscales if isinstance(multiscales, list) else ():
        for number, dataset in enumerate(multiscale["datasets"]):
            if dataset["path"] == folder.name:
                return _level(folder.parent, multiscale, number)
    return None


def _level(folder: Path, multiscale: Any, number: int) -> Chosen:
    """One resolution of an OME-Zarr image (sections "axes" and "multiscales" of the specification)."""
    dataset = multiscale["datasets"][number]
    path = PurePosixPath(str(dataset["path"]))
    if path.is_absolute() or ".." in path.parts:
        raise BadInput(folder, f"names the array {path}", "a path inside of the folder")
    axes = multiscale.get("axes")
    if axes is None:
        # Versions 0.1 and 0.2 had always five axes.
        letters: str | None = "tczyx" if multiscale.get("version") in ("0.1", "0.2") else None
        return Chosen(folder / path, letters, notes=("OME-Zarr without axes",))
    letters, units = "", []
    for axis in axes:
        entry = axis if isinstance(axis, dict) else {"name": axis}
        name = {"channel": "c", "time": "t"}.get(str(entry.get("type")), str(entry["name"]).lower())
        letters += name if name in {"t", "c", "z", "y", "x"} else "?"
        units.append(entry.get("unit"))
    scales = [1.0] * len(letters)
    transformations = [
        *(dataset.get("coordinateTransformations") or []),
        *(multiscale.get("coordinateTransformations") or []),
    ]
    for transformation in transformations:
        if transformation["type"] == "scale":
            scales = [a * float(b) for a, b in zip(scales, transformation["scale"], strict=True)]
    sizes, notes = {}, []
    for letter, unit, scale in zip(letters, units, scales, strict=True):
        factor = nm_per_unit(unit) if isinstance(unit, str) else None
        if letter in "zyx" and factor is not None:
            sizes[letter] = scale * factor
        elif letter in "yx" and transformations:
            notes.append(f"scale {scale:g} along {letter} has no unit of length: left out")
    datasets = len(multiscale["datasets"])
    if datasets > 1:
        notes.insert(0, f"resolution {number} of 0..{datasets - 1}")
    return Chosen(folder / path, letters, sizes, tuple(notes))
