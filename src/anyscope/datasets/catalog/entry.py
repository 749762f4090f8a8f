"""The contract of the catalog: what is known of a published dataset, and how it becomes a dataset folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anyscope.datasets.catalog.published import Published
from anyscope.datasets.description import LabelKind, Part
from anyscope.running.documents import dump_document

DeclaredSplit = Mapping[Part, Mapping[str, str]]
"""Regions in NumPy notation by part and stem; an empty region is the whole image."""

Convert = Callable[[Published, Path], DeclaredSplit]
"""Writes ``images/`` and ``labels/`` below a folder and returns the split."""

DEFAULT_DOWNLOAD_LIMIT = 4 * 2**30
DEFAULT_UNPACKED_LIMIT = 8 * 2**30


@dataclass(frozen=True)
class SourceFile:
    """A file that the publisher offers.

    Args:
        name: Its name on disk.
        url: Where it is; None where it cannot be fetched without a login.
        checksum: ``sha256:HEX`` or ``md5:HEX``; None where none is published.
        size_bytes: Its size where known; a download of more than twice of it is broken off.
        folder: Where an archive is unpacked, relative to the other files; None for a file that is no archive.
        unpacked_limit_bytes: What an archive may unpack to.
    """

    name: str
    url: str | None = None
    checksum: str | None = None
    size_bytes: int | None = None
    folder: str | None = None
    unpacked_limit_bytes: int = DEFAULT_UNPACKED_LIMIT

    @property
    def download_limit_bytes(self) -> int:
        """What a download may grow to."""
        return DEFAULT_DOWNLOAD_LIMIT if self.size_bytes is None else 2 * self.size_bytes


@dataclass(frozen=True)
class CatalogEntry:
    """A published dataset.

    Args:
        name: What the command line calls it.
        title: Its name in publications.
        modality: ``EM`` or ``FM``.
        summary: Specimen, microscope, task.
        size: Images and their shapes (z, y, x), in words.
        voxel_size_nm: Voxel size (z, y, x) or (y, x) in nm; None where it is not stated or varies.
        labels: Kind of the labels as written.
        objects: ``2d`` where ids count per slice, ``3d`` where they hold through the stack.
        licence: As the publisher states it, or that none is stated.
        citation: What to cite.
        doi: Of the publication or of the dataset.
        homepage: Where the publisher describes it.
        files: What is fetched.
        layout: The published layout, which a folder given by hand has too.
        split: What is train, val and test, and why.
        protocol: The published evaluation, a name of :data:`anyscope.metrics.PROTOCOLS`.
        convert: Reads the published layout, writes images and labels.
        ignore: Label values that are not scored.
        notes: What a user should know before comparing scores.
    """

    name: str
    title: str
    modality: Literal["EM", "FM"]
    summary: str
    size: str
    voxel_size_nm: tuple[float, ...] | None
    labels: LabelKind
    objects: Literal["2d", "3d"]
    licence: str
    citation: str
    doi: str
    homepage: str
    files: tuple[SourceFile, ...]
    layout: str
    split: str
    protocol: str
    convert: Convert
    ignore: tuple[int, ...] = ()
    notes: str = ""

    @property
    def downloadable(self) -> bool:
        """Whether every file has an address."""
        return all(file.url for file in self.files)

    def prepare(self, source: Path | Published, out: Path) -> None:
        """Turn the published layout into a dataset folder.

        Args:
            source: The folder that holds the published files, archives unpacked; they may lie deeper in it.
            out: An empty or absent folder. It gets ``images/``, ``labels/``, ``dataset.yaml``, ``README.txt`` and,
                where the publisher keeps the labels of a test set, ``unlabelled/images/``.

        Raises:
            BadInput: A file is missing or has another shape than its partner.
        """
        published = source if isinstance(source, Published) else Published((source,), self.layout)
        out.mkdir(parents=True, exist_ok=True)
        split = self.convert(published, out)
        (out / "dataset.yaml").write_text(dump_document(self._description(split)), encoding="utf-8")
        (out / "README.txt").write_text(self.readme(), encoding="utf-8")
        unlabelled = out / "unlabelled"
        if unlabelled.is_dir() and self.voxel_size_nm is not None:
            described = dump_document({"voxel_size_nm": list(self.voxel_size_nm)})
            (unlabelled / "dataset.yaml").write_text(described, encoding="utf-8")

    def _description(self, split: DeclaredSplit) -> dict[str, object]:
        said: dict[str, object] = {"labels": self.labels, "objects": self.objects}
        if self.voxel_size_nm is not None:
            said["voxel_size_nm"] = list(self.voxel_size_nm)
        if self.ignore:
            said["ignore"] = list(self.ignore)
        return said | {"split": {part: dict(regions) for part, regions in split.items()}}

    def readme(self) -> str:
        """Licence, citation and split as a short text that stays with the data."""
        lines = [
            self.title,
            "",
            f"{self.summary} {self.size}.",
            "",
            f"Licence: {self.licence}",
            f"Cite: {self.citation} https://doi.org/{self.doi}",
            f"Homepage: {self.homepage}",
            "",
            f"Split: {self.split}",
            f"Evaluation: anyscope evaluate PREDICTION REFERENCE --protocol {self.protocol}",
        ]
        return "\n".join([*lines, *([f"Note: {self.notes}"] if self.notes else [])]) + "\n"
