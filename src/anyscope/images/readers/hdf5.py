"""HDF5: one data set, or the one that is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from anyscope.errors import BadInput
from anyscope.images.limits import array_bytes, refuse_impossible
from anyscope.images.readers.hdf5_heaps import check_heaps
from anyscope.images.stored import Array, Box, Location, Reader, Stored

if TYPE_CHECKING:
    import h5py

_MAX_LISTED = 8


class Hdf5Reader(Reader):
    """Data sets of HDF5 files, through h5py; ``file.h5:/path`` names one."""

    name = "hdf5"
    suffixes = (".h5", ".hdf5", ".hdf")

    def recognises(self, head: bytes) -> bool:
        # The signature may follow a user block of 512, 1024, ... bytes.
        return any(head[at : at + 8] == b"\x89HDF\r\n\x1a\n" for at in (0, *(512 << n for n in range(7))))

    def errors(self) -> tuple[type[Exception], ...]:
        # h5py turns the errors of the library into these.
        return OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError

    def find(self, location: Location) -> Stored:
        import h5py

        with h5py.File(location.path, "r") as file:
            inside = location.inside or _only_dataset(file, location)
            dataset = _dataset(file, inside, location)
            attributes = _attributes(dataset, location)
            notes: tuple[str, ...] = () if location.inside else (f"data set {inside}",)
            if dataset.chunks is not None:
                expected = int(np.prod([-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)]))
                missing = expected - int(dataset.id.get_num_chunks())
                if missing > 0:
                    notes += (f"{missing} of {expected} chunks were never written: read as {dataset.fillvalue}",)
            elif not dataset.external:
                refuse_impossible(
                    str(location), array_bytes(dataset.shape, dataset.dtype), location.path.stat().st_size, 1
                )
            sizes, said = _voxel_size(attributes)
            axes, notes = _axes(attributes, dataset), notes + said
            return Stored(dataset.shape, dataset.dtype, axes, sizes, notes=notes, chunk=dataset.chunks, inside=inside)

    def load(self, location: Location, stored: Stored, box: Box) -> Array:
        import h5py

        with h5py.File(location.path, "r") as file:
            array: Array = np.asarray(_dataset(file, stored.inside, location)[box])
            return array


def _dataset(file: h5py.File, inside: str, location: Location) -> h5py.Dataset:
    import h5py

    found = file.get(inside)
    if not isinstance(found, h5py.Dataset):
        names = ", ".join(_datasets(file)[:_MAX_LISTED]) or "none"
        raise BadInput(str(location.path), f"no data set {inside}", f"one of {names}", "check the name after the colon")
    if found.shape is None:
        raise BadInput(str(location), "is an empty data set", "an image")
    return found


def _datasets(file: h5py.File) -> list[str]:
    """Names of all data sets with at least two axes."""
    import h5py

    names: list[str] = []

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None and len(item.shape) >= 2:
            names.append(f"/{name}")

    file.visititems(collect)
    return names


def _only_dataset(file: h5py.File, location: Location) -> str:
    names = _datasets(file)
    if len(names) == 1:
        return names[0]
    if not names:
        raise BadInput(location.path, "holds no data set with two or more axes", "an image")
    listed = ", ".join(names[:_MAX_LISTED]) + (", ..." if len(names) > _MAX_LISTED else "")
    raise BadInput(
        location.path, f"holds {len(names)} data sets ({listed})", "one", f"name it: {location.path.name}:{names[0]}"
    )


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


_ATTRIBUTES = ("axes", "axistags", "element_size_um", "resolution")


def _attributes(dataset: h5py.Dataset, location: Location) -> dict[str, Any]:
    """The attributes that say something about axes and sizes."""
    names = [name for name in _ATTRIBUTES if name in dataset.attrs]
    if any(dataset.attrs.get_id(name).dtype.kind == "O" for name in names):
        check_heaps(location.path)
    return {name: dataset.attrs[name] for name in names}


def _axes(attributes: dict[str, Any], dataset: h5py.Dataset) -> str | None:
    """Axes from our attribute, from vigra's axistags (ilastik) or from labels of dimensions."""
    letters: str | None = None
    if "axes" in attributes and np.ndim(attributes["axes"]) == 0:
        letters = _text(attributes["axes"]).lower()
    elif "axistags" in attributes:
        try:
            tags = json.loads(_text(attributes["axistags"]))["axes"]
            letters = "".join(str(tag["key"]) for tag in tags)
        except (ValueError, KeyError, TypeError):
            return None
    elif all(len(dimension.label) == 1 for dimension in dataset.dims):
        letters = "".join(dimension.label for dimension in dataset.dims).lower()
    return letters if letters is not None and len(letters) == len(dataset.shape) else None


def _voxel_size(attributes: dict[str, Any]) -> tuple[dict[str, float], tuple[str, ...]]:
    """From ``element_size_um`` (z, y, x in um; ilastik, Fiji) or ``resolution`` (z, y, x in nm; CREMI)."""
    for name, factor in (("element_size_um", 1e3), ("resolution", 1.0)):
        if name not in attributes:
            continue
        values = np.asarray(attributes[name])
        if values.ndim == 1 and values.size in (2, 3) and values.dtype.kind in "iuf":
            letters = "zyx"[-values.size :]
            return {letter: float(size) * factor for letter, size in zip(letters, values, strict=True)}, (
                f"voxel size from the attribute {name}",
            )
    return {}, ()
