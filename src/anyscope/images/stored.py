"""What a reader says about a file, and the contract of readers.

A reader is stateless: ``find`` reads metadata only, ``load`` opens the file again and reads one box of it. Images
therefore hold no open handles and can be sent to other processes.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput, EnvironmentFault

Array = NDArray[Any]
Box = tuple[slice, ...]
"""One slice with start and stop for each stored axis."""


@dataclass(frozen=True)
class Location:
    """Where an image is: a file or a folder, and in some formats a place inside it.

    Args:
        path: The file, or the folder of a Zarr store.
        chunk: Lengths of what is decoded at once, None where single planes are.
        inside: The data set within an HDF5 file, such as ``/volumes/raw``; empty to find the only one.
        labels: Whether ids of objects are expected, which settles some ambiguities.
    """

    path: Path
    inside: str = ""
    labels: bool = False

    def __str__(self) -> str:
        return f"{self.path}:{self.inside}" if self.inside else str(self.path)


@dataclass(frozen=True)
class Stored:
    """An image as it lies in a file.

    Args:
        shape: Lengths of the stored axes.
        dtype: Stored number type.
        axes: One letter for each stored axis (z, y, x, c, s, t; any other letter for an axis without a meaning), or
            None where the file does not say.
        voxel_size_nm: Size in nm by axis letter, for those that are known.
        rgb: Whether axis s holds RGB or RGBA.
        notes: Remarks on what was inferred or repaired.
        inside: The data set of an HDF5 file or the array folder of a Zarr store that was chosen.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str | None = None
    voxel_size_nm: Mapping[str, float] = field(default_factory=dict)
    rgb: bool = False
    notes: tuple[str, ...] = ()
    chunk: tuple[int, ...] | None = None
    inside: str = ""


class Reader(ABC):
    """Reads one format."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def recognises(self, head: bytes) -> bool:
        """Whether a file that starts with ``head`` (up to 64 bytes) can be of this format."""

    @abstractmethod
    def errors(self) -> tuple[type[Exception], ...]:
        """Exceptions by which the library behind this reader says that a file is damaged."""

    @abstractmethod
    def find(self, location: Location) -> Stored:
        """Read the metadata."""

    @abstractmethod
    def load(self, location: Location, stored: Stored, box: Box) -> Array:
        """Read the pixels of ``box``, as they are stored."""

    @contextmanager
    def reading(self, location: Location) -> Iterator[None]:
        """Turn what the library raises on damaged files into one line for the user."""
        try:
            yield
        except (BadInput, EnvironmentFault):
            raise
        except PermissionError as error:
            raise EnvironmentFault(str(location), "permission denied", remedy="change its permissions") from error
        except MemoryError as error:
            raise BadInput(str(location), "needs more memory than there is", remedy="read a smaller region") from error
        except self.errors() as error:
            if isinstance(error, OSError) and error.errno in (errno.EIO, errno.EMFILE, errno.ENFILE):
                raise EnvironmentFault(str(location), error.strerror or str(error), remedy="check the disk") from error
            said = " ".join(str(error).split())[:160] or "no reason given"
            raise BadInput(
                str(location),
                f"cannot be read as {self.name} ({type(error).__name__}: {said})",
                remedy="the file is cut off, damaged or of an unsupported kind; copy or export it again",
            ) from error
