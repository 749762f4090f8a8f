"""From a name to a dataset folder: fetch or take what is there, unpack, prepare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyscope.datasets.catalog.archives import is_archive, unpack
from anyscope.datasets.catalog.entry import CatalogEntry, SourceFile
from anyscope.datasets.catalog.fetching import address, fetch
from anyscope.datasets.catalog.published import Published
from anyscope.datasets.folder import Dataset, open_dataset
from anyscope.errors import BadInput
from anyscope.running.atomic import atomic_folder, refuse_existing, remove

RECORD = "source.json"
"""What a dataset folder was made from."""


def downloads_of(entry: CatalogEntry, out: Path) -> Path:
    """Where files are kept until the dataset is whole: beside it, on the same disk."""
    return out.with_name(f".{out.name}.{entry.name}.downloads")


def get(
    entry: CatalogEntry,
    out: Path,
    *,
    source: Path | None = None,
    mirror: str | None = None,
    resume: bool = False,
    force: bool = False,
) -> Dataset:
    """Make a dataset folder of the catalog, whole or not at all.

    Args:
        entry: The dataset.
        out: The folder to make.
        source: A folder or an archive with the published files; nothing is fetched then.
        mirror: Address of a folder that has the files under the same names.
        resume: Go on with what an interrupted call has fetched; do nothing where the dataset is whole.
        force: Replace a folder that is there, and begin downloads anew.

    Raises:
        BadInput: An existing output, a missing or wrong file, no address to fetch from.
        EnvironmentFault: Network or disk.
    """
    downloads = downloads_of(entry, out)
    if resume and out.exists() and not force:
        made_from = _record(out)
        if made_from.get("name") != entry.name:
            found = f"holds {made_from.get('name', 'something else')}"
            raise BadInput(out, found, entry.name, "choose another output, or replace it with --force")
        return open_dataset(out)
    if not force:
        refuse_existing(out)
    if source is not None and mirror is not None:
        raise BadInput("--mirror", "given together with --from", "one of them")
    # Whatever cannot work is said before anything is fetched.
    addresses = {} if source is not None else {file.name: _address(entry, file, mirror) for file in entry.files}
    if source is None and downloads.exists():
        if force:
            remove(downloads)
        elif not resume:
            raise BadInput(
                downloads, "holds an interrupted download", remedy="continue it with --resume, or drop it with --force"
            )
    if source is None:
        return _fetched(entry, out, downloads, addresses, force)
    with _given(entry, source, out) as published:
        return _prepared(entry, published, out, {"given": source.name}, force)


def _address(entry: CatalogEntry, file: SourceFile, mirror: str | None) -> str:
    url = address(file, mirror)
    if url is None:
        raise BadInput(
            entry.name, "cannot be fetched automatically", f"get it from {entry.homepage}", "then give it with --from"
        )
    return url


def _fetched(entry: CatalogEntry, out: Path, downloads: Path, addresses: dict[str, str], force: bool) -> Dataset:
    import pooch

    record: dict[str, Any] = {}
    try:
        for file in entry.files:
            path = fetch(file, addresses[file.name], downloads)
            record[file.name] = {"url": addresses[file.name], "sha256": pooch.file_hash(str(path))}
            if file.folder is not None:
                unpack(path, downloads / file.folder, file.unpacked_limit_bytes)
    finally:
        if downloads.is_dir() and not any(downloads.iterdir()):
            downloads.rmdir()  # nothing was fetched, so there is nothing to go on with
    dataset = _prepared(entry, Published((downloads,), entry.layout), out, {"files": record}, force)
    remove(downloads)
    return dataset


def _prepared(entry: CatalogEntry, published: Published, out: Path, made_from: dict[str, Any], force: bool) -> Dataset:
    with atomic_folder(out, replace=force) as folder:
        entry.prepare(published, folder)
        record = {"name": entry.name, **made_from, "licence": entry.licence, "doi": entry.doi}
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _ = open_dataset(folder).split  # images and labels pair up, parts do not overlap
    return open_dataset(out)


@contextmanager
def _given(entry: CatalogEntry, source: Path, out: Path) -> Iterator[Published]:
    """The files that the user has: a folder, whose archives are unpacked beside the output, or one archive."""
    if not source.exists():
        raise BadInput(source, "no such file or folder", entry.layout, "check --from")
    unpacked = out.with_name(f".{out.name}.unpacked")
    remove(unpacked)
    try:
        if source.is_dir():
            for file in entry.files:
                packed = source / file.name
                if file.folder is not None and packed.is_file() and not (source / file.folder).is_dir():
                    unpack(packed, unpacked / file.folder, file.unpacked_limit_bytes)
            yield Published((source, unpacked), entry.layout)
        elif is_archive(source):
            limit = max(file.unpacked_limit_bytes for file in entry.files)
            # An archive is named as its folder would be, since some layouts begin inside of it.
            named = [file.folder for file in entry.files if file.folder and file.name == source.name]
            unpack(source, unpacked / (named[0] if named else "archive"), limit)
            yield Published((unpacked,), entry.layout)
        else:
            raise BadInput(source, "is no folder and no zip or tar archive", entry.layout)
    finally:
        remove(unpacked)


def _record(out: Path) -> dict[str, Any]:
    try:
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
