"""Packages of the BioImage Model Zoo: a folder with ``rdf.yaml`` and weights. Formats 0.4 and 0.5, networks of planes.

Files are opened within the folder only, and their checksums compared. ``pytorch_state_dict`` is refused: its
architecture is Python source that would have to be run, and its weights are a pickle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm
from pathlib import Path
from typing import Any

from anyscope.errors import BadInput, explain_os_errors
from anyscope.external.processing import Step, steps_of
from anyscope.running.documents import read_mapping

FILES = ("rdf.yaml", "bioimageio.yaml")
_RUNNABLE = {"torchscript": "torchscript", "onnx": "onnx"}
_HEADS = {
    "foreground": "mask", "mask": "mask", "probability": "mask", "boundary": "boundary", "boundaries": "boundary",
    "membrane": "boundary", "distance": "distance",
}  # fmt: skip


@dataclass(frozen=True)
class Package:
    """What of a package is used.

    Args:
        folder: Where it is.
        name: Its name.
        kind: ``onnx`` or ``torchscript``.
        weights: The file of weights.
        channels: Channels of an image.
        stride, smallest, size: What heights and widths must be multiples of; the least; the only one, or None.
        before, after: Pre- and postprocessing.
        names: Names of the output's channels, where it states any.
        activated: Whether the package says that its output lies in 0..1.
        pixel_size_nm: Size of the pixels it was made for, where it states one.
    """

    folder: Path
    name: str
    kind: str
    weights: Path
    channels: int
    stride: int
    smallest: int
    size: int | None
    before: list[Step]
    after: list[Step]
    names: tuple[str, ...]
    activated: bool
    pixel_size_nm: float | None

    @property
    def heads(self) -> tuple[str, ...] | None:
        """Heads by the names of the channels; None where these say nothing."""
        found = tuple(_HEADS.get(name.lower(), "") for name in self.names)
        return found if found and all(found) and len(set(found)) == len(found) else None


def find_package(folder: Path) -> Path | None:
    """The description in the folder of a package; None where it is no package."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def read_package(folder: Path, *, prefer: str) -> Package:
    """Read the description of a package and check its weights.

    Args:
        folder: The package, unpacked.
        prefer: ``torchscript`` or ``onnx``: which weights are taken where there are both.

    Raises:
        BadInput: No package, one for volumes or for several tensors, weights that cannot be used, or that were changed.
    """
    file = find_package(folder)
    if file is None:
        raise BadInput(folder, f"there is no {FILES[0]} in it", "the folder of a package of the BioImage Model Zoo")
    document = read_mapping(file, "a package of the BioImage Model Zoo")
    inputs, outputs = document.get("inputs"), document.get("outputs")
    tensors = []
    for what, listed in (("inputs", inputs), ("outputs", outputs)):
        if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], Mapping):
            count = len(listed) if isinstance(listed, list) else "no"
            raise BadInput(file, f"{count} {what}", "one input and one output, an image each")
        tensors.append(listed[0])
    source, result = tensors
    axes, out_axes = _axes(source, file), _axes(result, file)
    if axes != "bcyx" or out_axes != "bcyx":
        raise BadInput(file, f"axes {axes} in, {out_axes} out", "bcyx: networks of planes")
    kind, weights = _weights(document, folder, file, prefer)
    stride, smallest, size = _sizes(source, file)
    return Package(
        folder=folder,
        name=str(document.get("name") or folder.name)[:100],
        kind=kind,
        weights=weights,
        channels=_channels(source, file),
        stride=stride,
        smallest=smallest,
        size=size,
        before=steps_of(source.get("preprocessing"), "bcyx", file),
        after=steps_of(result.get("postprocessing"), "bcyx", file),
        names=_channel_names(result),
        activated=_activated(result),
        pixel_size_nm=_pixel_size(source),
    )


def within(folder: Path, name: str, subject: Path) -> Path:
    """A file inside ``folder``; whatever leads out of it is refused, links too."""
    root = folder.resolve()
    found = (root / name).resolve()
    if not found.is_relative_to(root):
        raise BadInput(subject, f"the path {name!r} leads out of its folder", f"a file within {folder.name}/")
    if not found.is_file():
        raise BadInput(subject, f"there is no {name!r}", f"a file within {folder.name}/", "unpack it as a whole")
    return found


def check_sha256(path: Path, expected: str, subject: Path) -> None:
    """Refuse a file that was changed after its checksum had been written."""
    with explain_os_errors(path), open(path, "rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != expected.lower():
        raise BadInput(
            path, f"SHA-256 {found[:12]}...", f"{expected[:12]}... as in {subject.name}", "copy or fetch it again"
        )


def _weights(document: Mapping[str, Any], folder: Path, file: Path, prefer: str) -> tuple[str, Path]:
    listed = document.get("weights")
    if not isinstance(listed, Mapping) or not listed:
        raise BadInput(file, "lists no weights", "torchscript or onnx")
    usable = sorted((name for name in listed if name in _RUNNABLE), key=lambda name: name != prefer)
    if not usable:
        why = ""
        if "pytorch_state_dict" in listed:
            why = "pytorch_state_dict needs its source code to be run and its pickle to be opened, which is not done"
        raise BadInput(file, f"weights {', '.join(map(str, listed))}; {why}", "torchscript or onnx", "export it to one")
    entry = listed[usable[0]]
    source, expected = (entry.get("source"), entry.get("sha256")) if isinstance(entry, Mapping) else (None, None)
    if isinstance(source, Mapping):
        source, expected = source.get("source", source.get("path")), source.get("sha256", expected)
    if not isinstance(source, str):
        raise BadInput(file, f"weights {usable[0]} name no file", "source: a file of the package")
    weights = within(folder, source, file)
    if not isinstance(expected, str):
        raise BadInput(file, f"weights {usable[0]} have no sha256", "the checksum of the file")
    check_sha256(weights, expected, file)
    return _RUNNABLE[usable[0]], weights


def _axes(tensor: Mapping[str, Any], file: Path) -> str:
    axes = tensor.get("axes")
    if isinstance(axes, str):
        return axes
    if not isinstance(axes, list) or not all(isinstance(axis, Mapping) for axis in axes):
        raise BadInput(file, "axes that are neither letters nor a list", "such as bcyx")
    letters = []
    for axis in axes:
        kind = axis.get("type")
        letters.append({"batch": "b", "channel": "c"}.get(str(kind), str(axis.get("id", "?"))))
    return "".join(letters)


def _sizes(tensor: Mapping[str, Any], file: Path) -> tuple[int, int, int | None]:
    """Stride, smallest and only size of height and width."""
    axes, shape = tensor.get("axes"), tensor.get("shape")
    sizes: list[Any]
    if isinstance(axes, str):
        if isinstance(shape, Mapping):
            pairs = zip(list(shape.get("min", [])), list(shape.get("step", [])), strict=False)
            sizes = [{"min": lowest, "step": between} for lowest, between in pairs][-2:]
        else:
            sizes = list(shape or [])[-2:]
    else:
        sizes = [axis.get("size") for axis in list(axes or [])[-2:]]
    if len(sizes) == 2 and all(isinstance(size, int) and size > 0 for size in sizes):
        if sizes[0] != sizes[1]:
            raise BadInput(file, f"a size of {sizes[0]} x {sizes[1]}", "equal height and width")
        return 1, 1, int(str(sizes[0]))
    strides: list[int] = []
    least: list[int] = []
    for size in sizes:
        step = size.get("step") if isinstance(size, Mapping) else None
        low = size.get("min") if isinstance(size, Mapping) else None
        if not isinstance(step, int) or not isinstance(low, int) or step < 0 or low <= 0:
            raise BadInput(file, f"the size {size!r}", "a number, or min and step")
        if step == 0:
            return 1, 1, low
        # sizes are min + n step: multiples of the step where min is one, of min where it is not
        strides.append(step if low % step == 0 else low)
        least.append(low)
    if len(strides) != 2:
        raise BadInput(file, "no sizes of y and x", "a shape")
    return lcm(*strides), max(least), None


def _channels(tensor: Mapping[str, Any], file: Path) -> int:
    axes, shape = tensor.get("axes"), tensor.get("shape")
    if isinstance(axes, str):
        listed = shape.get("min") if isinstance(shape, Mapping) else shape
        count = listed[axes.index("c")] if isinstance(listed, list) and len(listed) == len(axes) else None
    else:
        axis = next(one for one in axes or [] if one.get("type") == "channel")
        count = axis.get("size", len(axis.get("channel_names") or []))
    if not isinstance(count, int) or not 1 <= count <= 256:
        raise BadInput(file, f"{count} channels", "1 to 256")
    return count


def _channel_names(tensor: Mapping[str, Any]) -> tuple[str, ...]:
    axes = tensor.get("axes")
    if isinstance(axes, str):
        return ()
    for axis in axes or []:
        if axis.get("type") == "channel" and isinstance(axis.get("channel_names"), list):
            return tuple(str(name) for name in axis["channel_names"])
    return ()


def _activated(tensor: Mapping[str, Any]) -> bool:
    data = tensor.get("data")
    stated = data.get("range") if isinstance(data, Mapping) else tensor.get("data_range")
    return isinstance(stated, list) and [float(one) for one in stated if isinstance(one, int | float)] == [0.0, 1.0]


def _pixel_size(tensor: Mapping[str, Any]) -> float | None:
    """The size of a pixel in nm, where the package states one for y and x that are equal."""
    axes = tensor.get("axes")
    units = {"nanometer": 1.0, "micrometer": 1e3, "millimeter": 1e6}
    if isinstance(axes, str):
        return None
    found = []
    for axis in (axes or [])[-2:]:
        unit, scale = axis.get("unit"), axis.get("scale")
        found.append(units[unit] * scale if unit in units and isinstance(scale, int | float) and scale > 0 else None)
    return found[0] if len(found) == 2 and found[0] == found[1] else None
