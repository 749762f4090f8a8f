"""Models behind a Python entry point: a function on images, or a torch module."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np

from anyscope.contracts import Labels, Unit
from anyscope.errors import BadInput
from anyscope.external.answers import checked_labels
from anyscope.external.description import ENTRY, FunctionFile


class FunctionModel:
    """A function that is shown images.

    Args:
        description: What its user says of it.
        folder: Where its module may lie, beside the places where Python looks.
    """

    def __init__(self, description: FunctionFile, folder: Path) -> None:
        self.description = description
        self.spec = description.spec
        self._function = import_entry(description.path, folder)
        if not callable(self._function):
            raise BadInput(description.path, f"is a {type(self._function).__name__}", "a function")

    def __call__(self, image: Unit) -> Labels:
        """Labels (z, y, x) of an image (c, z, y, x) in 0..1."""
        shape = (image.shape[1], image.shape[2], image.shape[3])
        axes, subject = self.description.axes, self.description.path
        if axes == "czyx":
            return checked_labels(self._function(image.copy()), shape, self.description, subject)
        if axes == "zyx":
            return checked_labels(self._function(image[0].copy()), shape, self.description, subject)
        planes = []
        for z in range(shape[0]):
            plane = image[:, z] if axes == "cyx" else image[0, z]
            found = checked_labels(self._function(plane.copy()), (1, *shape[1:]), self.description, subject)
            planes.append(found)
        return stacked(planes, objects=self.description.task == "instances")


def stacked(planes: list[Labels], *, objects: bool) -> Labels:
    """Planes (1, y, x) as one stack; ids of objects of different planes are made to differ."""
    if not objects:
        return np.concatenate(planes)
    numbered, first = [], 0
    for plane in planes:
        numbered.append(np.where(plane > 0, plane.astype(np.int64) + first, 0).astype(np.int32))
        first = max(first, int(numbered[-1].max()))
    return np.concatenate(numbered)


def import_entry(entry: str, folder: Path) -> Any:
    """What ``package.module:name`` stands for. Importing runs the module.

    Args:
        entry: The entry point.
        folder: Looked through first.

    Raises:
        BadInput: No entry point, no such module, or no such name in it.
    """
    match = ENTRY.match(entry)
    if match is None:
        raise BadInput(entry, "is no entry point", "package.module:name")
    with _looking_in(folder):
        _forget_other(match["module"].partition(".")[0], folder)
        try:
            module = importlib.import_module(match["module"])
        except Exception as error:  # whatever the module raises while it is imported is its author's
            reason = f"{type(error).__name__}: {error}"
            raise BadInput(
                entry, f"its module cannot be imported ({reason})", f"a module installed or in {folder}"
            ) from None
    if not hasattr(module, match["name"]):
        raise BadInput(entry, f"there is no {match['name']!r} in {match['module']}", "a function or a torch module")
    return getattr(module, match["name"])


def source_of(entry: str, folder: Path) -> Path | None:
    """The file of an entry point's module or package where it lies in ``folder``; None where it is installed."""
    found = PathFinder.find_spec(entry.partition(":")[0].partition(".")[0], [str(folder)])
    return None if found is None or found.origin is None else Path(found.origin)


def _forget_other(package: str, folder: Path) -> None:
    """Forget a module of the same name from elsewhere: every model's folder may hold a ``model.py``."""
    own, known = source_of(package, folder), sys.modules.get(package)
    if own is None or known is None or getattr(known, "__file__", None) == str(own):
        return
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
    importlib.invalidate_caches()


@contextmanager
def _looking_in(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
