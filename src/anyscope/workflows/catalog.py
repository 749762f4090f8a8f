"""``anyscope data list`` and ``anyscope data get``: published datasets, fetched and made into dataset folders."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

from anyscope.datasets.catalog import CATALOG, CatalogEntry
from anyscope.datasets.catalog.getting import get
from anyscope.running.progress import say
from anyscope.workflows.tables import columns

_WIDTH = 110


@dataclass(frozen=True)
class FileDescription:
    """A file that the publisher offers; ``checksum`` and ``url`` are None where none is known."""

    name: str
    url: str | None
    checksum: str | None
    size_bytes: int | None


@dataclass(frozen=True)
class CatalogDescription:
    """A published dataset as plain data; see :class:`anyscope.datasets.catalog.CatalogEntry`."""

    name: str
    title: str
    modality: str
    summary: str
    size: str
    voxel_size_nm: tuple[float, ...] | None
    labels: str
    objects: str
    licence: str
    citation: str
    doi: str
    homepage: str
    files: tuple[FileDescription, ...]
    layout: str
    split: str
    protocol: str
    notes: str
    downloadable: bool


@dataclass(frozen=True)
class GetResult:
    """What ``data get`` has made: the folder, images by part, and what must be cited."""

    dataset: str
    out: Path
    parts: dict[str, int]
    licence: str
    citation: str
    doi: str
    homepage: str


def data_list(name: str | None = None) -> list[CatalogDescription]:
    """The published datasets that ``data get`` knows, or the one called ``name``. Nothing is fetched."""
    entries = [CATALOG[name]] if name is not None else [entry for _, entry in CATALOG.items()]
    return [_described(entry) for entry in entries]


def data_get(
    name: str,
    out: Path | str,
    *,
    source: Path | str | None = None,
    mirror: str | None = None,
    resume: bool = False,
    force: bool = False,
) -> GetResult:
    """Make a dataset folder of a published dataset; see :func:`anyscope.datasets.catalog.getting.get`.

    Args:
        name: A name of :func:`data_list`.
        out: The dataset folder to make.
        source: A folder or an archive with the published files, instead of fetching them.
        mirror: Address of a folder on another server that has the files under the same names.
        resume: Go on with an interrupted download; do nothing where the dataset is whole.
        force: Replace a folder that is there, and begin downloads anew.
    """
    entry, out = CATALOG[name], Path(out)
    say(f"{entry.title}: {entry.size}; {entry.labels}, {entry.objects}; licence: {entry.licence}")
    given = None if source is None else Path(source)
    dataset = get(entry, out, source=given, mirror=mirror, resume=resume, force=force)
    parts: dict[str, int] = {part: len(regions) for part, regions in dataset.split.items()}
    return GetResult(name, out, parts, entry.licence, entry.citation, entry.doi, entry.homepage)


def _described(entry: CatalogEntry) -> CatalogDescription:
    plain = {key: getattr(entry, key) for key in CatalogDescription.__dataclass_fields__ if key != "files"}
    files = tuple(FileDescription(file.name, file.url, file.checksum, file.size_bytes) for file in entry.files)
    return CatalogDescription(**plain, files=files)


def datasets_table(found: list[CatalogDescription], *, whole: bool) -> str:
    """The catalog, a line each, or one dataset with everything known of it."""
    if not whole:
        rows = [
            [one.name, one.modality, f"{one.labels} {one.objects}", _voxel(one), _how(one), one.licence.split(";")[0]]
            for one in found
        ]
        rows = [[*row[:-1], textwrap.shorten(row[-1], 40, placeholder=" ...")] for row in rows]
        return columns(["name", "", "labels", "voxel nm", "how", "licence"], rows, 6)
    one = found[0]
    facts = {
        "": f"{one.title}: {one.summary}",
        "size": one.size,
        "voxel size": f"{_voxel(one)} nm (z, y, x)" if one.voxel_size_nm else "not stated, or different between images",
        "labels": f"{one.labels}, {one.objects}",
        "split": one.split,
        "protocol": one.protocol,
        "licence": one.licence,
        "cite": f"{one.citation} https://doi.org/{one.doi}",
        "homepage": one.homepage,
        "layout": one.layout,
        "note": one.notes,
    }
    lines = []
    for key, text in facts.items():
        if text:
            lines += textwrap.wrap(f"{key}: {text}" if key else text, _WIDTH, subsequent_indent="  ")
    return "\n".join([*lines, *_files(one)])


def _files(one: CatalogDescription) -> list[str]:
    if not one.downloadable:
        return [f"files: get them from {one.homepage}, then: anyscope data get {one.name} --out DIR --from PATH"]
    lines = ["files:"]
    for file in one.files:
        size = "size unknown" if file.size_bytes is None else f"{file.size_bytes / 1e6:.4g} MB"
        lines += [f"  {file.name} ({size}, {file.checksum or 'checksum unknown'})", f"    {file.url}"]
    return lines


def _how(one: CatalogDescription) -> str:
    return "fetched" if one.downloadable else "--from"


def _voxel(one: CatalogDescription) -> str:
    return "-" if one.voxel_size_nm is None else " x ".join(f"{size:g}" for size in one.voxel_size_nm)


def datasets_page() -> str:
    """The page docs/datasets.md, rendered from the catalog."""
    found = data_list()
    anchors = _anchors(found)
    lines = [
        "# Published datasets",
        "Written by `python -m anyscope.workflows.catalog > docs/datasets.md`; a test compares.",
        "`anyscope data get NAME --out DIR` fetches one and makes it a dataset folder; `--from PATH` takes a folder or",
        "an archive that you have, `--mirror URL` another server. Licence and citation stay with it in `README.txt`.",
        "",
        "| name | | labels | voxel nm (z, y, x) | protocol | how |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| [{one.name}](#{anchors[one.name]}) | {one.modality} | {one.labels}, {one.objects} | {_voxel(one)} "
        f"| `{one.protocol}` | {'fetched' if one.downloadable else '`--from`'} |"
        for one in found
    ]
    for one in found:
        lines += ["", f"## {one.name}", f"**{one.title}.** {one.summary} {one.size}.", ""]
        lines += [f"- split: {one.split}", f"- published as: {one.layout}", f"- licence: {one.licence}"]
        lines += [f"- cite: {one.citation} [doi {one.doi}](https://doi.org/{one.doi})", f"- homepage: <{one.homepage}>"]
        lines += [f"- {one.notes}"] if one.notes else []
        checked = [file.name for file in one.files if file.checksum]
        unchecked = [file.name for file in one.files if file.url and not file.checksum]
        lines += [f"- checksum known: {', '.join(checked)}"] if checked else []
        lines += [f"- checksum unknown: {', '.join(unchecked)}"] if unchecked else []
    return "\n".join(lines) + "\n"


def _anchors(found: list[CatalogDescription]) -> dict[str, str]:
    """Where the heading of each dataset is: signs are dropped, and what then is there already gets a number."""
    taken: dict[str, int] = {}
    anchors = {}
    for one in found:
        plain = one.name.replace("+", "")
        anchors[one.name] = f"{plain}-{taken[plain]}" if plain in taken else plain
        taken[plain] = taken.get(plain, 0) + 1
    return anchors


if __name__ == "__main__":
    print(datasets_page(), end="")
