"""Finding files in the layout in which a dataset was published, whatever folders lie around it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anyscope.errors import BadInput, explain_os_errors

_DEPTH = 7
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Published:
    """A published dataset on disk.

    Args:
        roots: Folders that hold its files, at any depth up to seven.
        layout: What should be there, for messages.
    """

    roots: tuple[Path, ...]
    layout: str

    def folder(self, name: str, suffixes: tuple[str, ...], optional: bool = False) -> Path | None:
        """The nearest folder that ends in ``name`` and holds files of these suffixes.

        Args:
            name: One or several parts, such as ``stack1/raw``.
            suffixes: In lower case, such as ``(".tif", ".tiff")``.
            optional: None instead of an error where there is none.
        """
        wanted = tuple(part.lower() for part in Path(name).parts)
        for path in self.folders():
            parts = tuple(part.lower() for part in path.parts[-len(wanted) :])
            if parts == wanted and any(_files(path, suffixes)):
                return path
        if optional:
            return None
        raise self.missing(f"a folder {name}/ with {' or '.join(suffixes)} files")

    def files(self, name: str, suffixes: tuple[str, ...]) -> list[Path]:
        """The files of :meth:`folder` in the order of the numbers in their names."""
        folder = self.folder(name, suffixes)
        assert folder is not None
        return sorted(_files(folder, suffixes), key=natural)

    def file(self, *names: str) -> Path:
        """The nearest file with one of these names.

        Raises:
            BadInput: There is none.
        """
        found = self.optional_file(*names)
        if found is None:
            raise self.missing(" or ".join(names))
        return found

    def optional_file(self, *names: str) -> Path | None:
        """The nearest file with one of these names, None where there is none."""
        wanted = {name.lower() for name in names}
        for folder in self.folders():
            for path in sorted(_files(folder, ())):
                if path.name.lower() in wanted:
                    return path
        return None

    def missing(self, what: str) -> BadInput:
        """The one line that says what is not there and what the layout should be."""
        return BadInput(
            self.roots[0], f"{what} is missing", self.layout, "give the folder or archive that holds it with --from"
        )

    def folders(self) -> Iterator[Path]:
        """All folders, nearest first."""
        level = [root for root in self.roots if root.is_dir()]
        for _ in range(_DEPTH + 1):
            deeper: list[Path] = []
            for folder in level:
                yield folder
                with explain_os_errors(folder), os.scandir(folder) as entries:
                    deeper += sorted(
                        Path(entry.path) for entry in entries if entry.is_dir() and not _is_litter(entry.name)
                    )
            level = deeper


def image_folders(published: Published, name: str) -> list[Path]:
    """The folders ``ID`` of images published as ``NAME/.../ID/images/*.png``, sorted by ID."""
    found = {
        folder.parent.name: folder.parent
        for folder in published.folders()
        if folder.name == "images" and any(part.lower() == name for part in folder.parts)
    }
    return [found[key] for key in sorted(found)]


def natural(path: Path) -> tuple[list[int], str]:
    """A key that sorts ``mask9`` before ``mask10``."""
    return [int(number) for number in _NUMBER.findall(path.name)], path.name


def number_of(path: Path) -> int:
    """The last number in the name of a slice, such as 12 of ``im0012.png``."""
    numbers = _NUMBER.findall(path.stem)
    if not numbers:
        raise BadInput(path, "has no number in its name", "a slice such as im0012.png")
    return int(numbers[-1])


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    with explain_os_errors(folder), os.scandir(folder) as entries:
        for entry in entries:
            if not _is_litter(entry.name) and entry.is_file():
                path = Path(entry.path)
                if not suffixes or path.suffix.lower() in suffixes:
                    yield path


def _is_litter(name: str) -> bool:
    """What macOS leaves in archives, and hidden files."""
    return name.startswith(".") or name == "__MACOSX"
