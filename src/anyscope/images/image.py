"""Images that are opened now and read later, region by region."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.errors import BadInput
from anyscope.geometry import Roi, VoxelSize
from anyscope.images.axes import Layout, lay_out
from anyscope.images.channels import label_dtype, label_ids, luminance
from anyscope.images.limits import array_bytes, refuse_beyond_memory
from anyscope.images.names import locate
from anyscope.images.options import ReadOptions
from anyscope.images.readers import reader_for
from anyscope.images.stored import Location, Reader, Stored

Choice = Literal["all", "grey", "labels"] | int
"""Which channels are read, and as what."""


@dataclass(frozen=True)
class Image:
    """An image whose pixels are read when asked for. Made by :func:`open_image` and :func:`open_labels`.

    It holds no open file, so it can be copied to other processes.

    Args:
        path: Where it is, as it was given.
        format: Name of the format, such as ``"tiff"``.
        stored_axes: Letters of the stored axes, without those of length 1 that mean nothing.
        shape: (c, z, y, x) after the choice of channels.
        dtype: Number type of what :meth:`read` returns.
        voxel_size_nm: Size of a voxel, None where unknown.
        rgb: Whether the stored image has colours.
        notes: What was inferred, chosen or repaired, one remark each.
    """

    path: Path
    format: str
    stored_axes: str
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    voxel_size_nm: VoxelSize | None
    rgb: bool
    notes: tuple[str, ...]
    _location: Location
    _stored: Stored
    _layout: Layout
    _reader: Reader
    _choice: Choice

    def read(self, region: Roi | None = None) -> NDArray[Any]:
        """Read a region, or everything.

        Args:
            region: A box (z, y, x) inside the image.

        Returns:
            (c, z, y, x), in :attr:`dtype` and native byte order.

        Raises:
            BadInput: The file is damaged, or the region can never fit into memory.
            ValueError: The region leaves the image.
        """
        whole = Roi.whole(self.shape[1:])
        region = region or whole
        if region.intersect(whole) != region:
            raise ValueError(f"{self._location}: {region} leaves the image of {self.shape[1:]}")
        if not region.size:
            return np.empty((self.shape[0], *region.shape), self.dtype)
        stored_channels = self._layout.shape[0]
        channels = slice(0, stored_channels)
        if isinstance(self._choice, int):
            channels = slice(self._choice, self._choice + 1)
        elif self._choice == "grey":
            channels = slice(0, min(3, stored_channels))
        box = self._layout.box(region, channels)
        expected = tuple(part.stop - part.start for part in box)
        refuse_beyond_memory(
            str(self._location), f"a region of {region.shape}", array_bytes(expected, self._stored.dtype)
        )
        with self._reader.reading(self._location):
            array = self._reader.load(self._location, self._stored, box)
        if array.shape != expected or array.dtype.newbyteorder("=") != self._stored.dtype.newbyteorder("="):
            found = f"gave {array.dtype} {array.shape} where {self._stored.dtype} {expected} was announced"
            raise BadInput(str(self._location), found, remedy="the file is damaged, or changed while it was read")
        array = self._layout.arrange(array)
        if self._choice == "labels":
            array = label_ids(array, self._layout.colours, str(self._location))
        elif self._choice == "grey":
            array = luminance(array)
        return np.ascontiguousarray(array, dtype=self.dtype)

    @property
    def planes_at_once(self) -> int:
        """How many slices the file decodes together; reading fewer takes as long."""
        return self._layout.planes_at_once(self._stored.chunk)

    def describe(self) -> str:
        """What was understood, in one line.

        For example ``tiff, axes zyx, 20 x 1024 x 1024, uint8, voxel 50 x 4.6 x 4.6 nm``.
        """
        lengths = [
            str(length)
            for letter, length in zip(self._layout.letters, self._layout.lengths, strict=True)
            if letter != "-"
        ]
        how = ""
        if self._choice == "grey":
            how = " (colours read as grey)"
        elif isinstance(self._choice, int):
            how = f" (channel {self._choice})"
        voxel = "voxel size unknown"
        if self.voxel_size_nm is not None:
            known = [size for size in self.voxel_size_nm if size is not None]
            voxel = f"voxel {' x '.join(f'{size:.6g}' for size in known)} nm"
        return f"{self.format}, axes {self.stored_axes}, {' x '.join(lengths)}, {self.dtype}{how}, {voxel}"


def open_image(path: str | os.PathLike[str], options: ReadOptions | None = None) -> Image:
    """Open an image: metadata are read and what they leave open is inferred or asked for.

    Args:
        path: A file, a Zarr folder, or ``file.h5:/path/to/dataset``.
        options: What the user says about the file.

    Raises:
        BadInput: No such file, a damaged one, or one whose axes are ambiguous.
    """
    return _open(path, options or ReadOptions(), labels=False)


def open_labels(path: str | os.PathLike[str], options: ReadOptions | None = None) -> Image:
    """Open a label image or mask: one channel whose numbers are read as integers (or bool).

    Whole floats become integers, grey stored as three equal colours becomes ids; anything else is refused when read.
    """
    return _open(path, options or ReadOptions(), labels=True)


def read_labels(path: str | os.PathLike[str], region: Roi | None = None, options: ReadOptions | None = None) -> Labels:
    """Read label ids (z, y, x) as integers; a boolean mask becomes 0 and 1 (uint8)."""
    labels: Labels = open_labels(path, options).read(region)[0]
    return labels.astype(np.uint8) if labels.dtype == bool else labels


def _open(path: str | os.PathLike[str], options: ReadOptions, labels: bool) -> Image:
    location = replace(locate(path), labels=labels)
    subject = str(location)
    reader = reader_for(location)
    with reader.reading(location):
        stored = reader.find(location)
    if stored.dtype.kind not in "biuf" or stored.dtype.itemsize > 8:
        remedy = "take the magnitude or the real part first" if stored.dtype.kind == "c" else ""
        raise BadInput(
            subject, f"numbers of type {stored.dtype}", "bool, integers or floats of at most 64 bits", remedy
        )
    if 0 in stored.shape:
        raise BadInput(subject, f"is empty (shape {stored.shape})", "an image with pixels")
    layout = lay_out(stored, subject, options.axes, labels)
    colours = layout.colours >= 2 and (stored.rgb or "s" in (options.axes or "")) and layout.colours <= 4
    choice, said = _choose(layout, colours, options, labels, subject)
    voxel, voxel_notes = _voxel_size(stored, options)
    _, z, y, x = layout.shape
    return Image(
        path=Path(path),
        format=reader.name,
        stored_axes=layout.named,
        shape=(layout.shape[0] if choice == "all" else 1, z, y, x),
        dtype=label_dtype(stored.dtype) if labels else stored.dtype.newbyteorder("="),
        voxel_size_nm=voxel,
        rgb=colours and layout.colours >= 3,
        notes=stored.notes + layout.notes + said + voxel_notes,
        _location=location,
        _stored=stored,
        _layout=layout,
        _reader=reader,
        _choice=choice,
    )


def _choose(
    layout: Layout, colours: bool, options: ReadOptions, labels: bool, subject: str
) -> tuple[Choice, tuple[str, ...]]:
    """Which channels to read, and what to tell the user about it."""
    n, wanted = layout.shape[0], options.channel
    numbers = f"a channel from 0 to {n - 1}"
    if labels:
        if n > 1 and not colours:
            raise BadInput(subject, f"labels with {n} channels (shape {layout.lengths})", "one", "give --axes zyx")
        return "labels", ("labels from equal colours",) if n > 1 else ()
    if isinstance(wanted, int):
        if wanted >= n:
            raise BadInput(subject, f"no channel {wanted}", numbers)
        return wanted, (f"channel {wanted} of {n}",)
    if colours and n == 2:
        return 0, ("grey with alpha: alpha dropped",)
    if colours:
        alpha = ", alpha dropped" if n == 4 else ""
        return "grey", (f"colours read as grey (luminance by ITU-R BT.601{alpha})",)
    if wanted == "grey" and n > 1:
        raise BadInput(subject, f"{n} channels that are not colours cannot be read as grey", numbers, "give --channel")
    return "all", (f"{n} channels",) if n > 1 else ()


def _voxel_size(stored: Stored, options: ReadOptions) -> tuple[VoxelSize | None, tuple[str, ...]]:
    if options.voxel_size_nm is not None:
        return VoxelSize.of(options.voxel_size_nm, "voxel size"), ("voxel size as given",)
    sizes = {letter: size for letter, size in stored.voxel_size_nm.items() if 0 < size < float("inf")}
    if "y" not in sizes or "x" not in sizes:
        return None, ("voxel size unknown",)
    return VoxelSize(sizes.get("z"), sizes["y"], sizes["x"]), ()
