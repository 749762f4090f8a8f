"""Outputs that appear whole or not at all.

A file is written under a temporary name in the folder where it will live, flushed to disk, and renamed. A folder is
filled under a temporary name beside its final place and renamed. A killed process leaves at most a temporary entry
(``.NAME.HEX.part``), never a half-written output under its final name.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anyscope.errors import BadInput, explain_os_errors

_LOOK_AGAIN_S = 0.05
_LOOKS = 100
_LOOKS_ABSENT = 4
"""How often a folder has to be found absent, one time after the other, before it counts as gone."""


def _temporary(final: Path) -> Path:
    return final.with_name(f".{final.name}.{secrets.token_hex(4)}.part{final.suffix}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes ``final`` when the block ends without an error.

    The temporary name keeps the suffix, since writers choose a format by it.
    """
    final = Path(final)
    temporary = _temporary(final)
    with explain_os_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with open(temporary, "rb") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, final)
            _sync_folder(final.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(final: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder to fill; it becomes ``final`` when the block ends without an error.

    Args:
        final: The folder to make. It must not exist, unless ``replace`` is given.
        replace: Put the new folder in the place of an old one; the old one is removed only after that.
    """
    final = Path(final)
    if not replace:
        refuse_existing(final)
    temporary = _temporary(final)
    retired = temporary.with_name(temporary.name + ".old")
    with explain_os_errors(final):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if final.exists():
                os.replace(final, retired)
            os.replace(temporary, final)
            _sync_folder(final.parent)
        except BaseException:
            _discard(temporary)
            raise
        finally:
            if retired.exists() and final.exists():
                remove(retired)


def _discard(folder: Path) -> None:
    """Remove a folder to which other threads may still be writing, as those of zarr do after one of them has failed."""
    absent = 0
    for _ in range(_LOOKS):
        absent = 0 if folder.exists() else absent + 1
        if absent == _LOOKS_ABSENT:
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_LOOK_AGAIN_S)


def write_text(final: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` (UTF-8) to ``final``, whole or not at all."""
    with atomic_file(final) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove(path: Path) -> None:
    """Remove a file or a folder with what is in it; nothing happens where there is none."""
    with explain_os_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """An existing output is never overwritten unasked: the one line that says so."""
    if path.is_symlink() or path.exists():
        raise BadInput(path, "exists already", remedy="choose another output, or replace it with --force")
