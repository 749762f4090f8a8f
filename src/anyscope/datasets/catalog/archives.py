"""Unpacking archives that nobody vouches for: member paths are checked, links refused, the total is bounded."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from anyscope.datasets.catalog.counting import counted_bytes
from anyscope.errors import BadInput, EnvironmentFault, explain_os_errors
from anyscope.running.atomic import atomic_folder

MAX_MEMBERS = 500_000
_CHUNK = 2**20
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError)


@dataclass(frozen=True)
class _Member:
    path: PurePosixPath
    size_bytes: int
    handle: zipfile.ZipInfo | tarfile.TarInfo


def is_archive(path: Path) -> bool:
    """Whether it is a zip or tar file, by its content."""
    return path.is_file() and (zipfile.is_zipfile(path) or _is_tar(path))


def unpack(archive: Path, folder: Path, limit_bytes: int) -> None:
    """Unpack a zip or tar archive into a new folder, whole or not at all.

    Args:
        archive: The archive; tar may be compressed by gzip, bzip2 or xz.
        folder: The folder to make. One that is there already is taken as done.
        limit_bytes: What all files may add up to.

    Raises:
        BadInput: No archive, a damaged or encrypted one, or one with members outside of the folder, links, devices, two
            members of one name, too many members or too many bytes. Nothing is left behind.
        EnvironmentFault: The disk has too little room.
    """
    if folder.is_dir():
        return
    with explain_os_errors(archive), _opened(archive) as (members, read):
        total = _check_size(archive, members, limit_bytes)
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
        if total > free:
            raise EnvironmentFault(
                folder.parent,
                f"{free / 1e9:.1f} GB free",
                f"{total / 1e9:.1f} GB for {archive.name}",
                "free some space",
            )
        with atomic_folder(folder) as temporary, counted_bytes(f"unpack {archive.name}", total) as advance:
            for member in members:
                target = temporary.joinpath(*member.path.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with read(member) as source, open(target, "xb") as out:
                    _copy(source, out, archive, member, advance)


def _copy(source: IO[bytes], out: IO[bytes], archive: Path, member: _Member, advance: Callable[[int], None]) -> None:
    """Copy a member and refuse more than its header announced."""
    left = member.size_bytes
    while chunk := source.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise BadInput(archive, f"{member.path} is longer than it says", "an archive as it was published")
        out.write(chunk)
        advance(len(chunk))


def _check_size(archive: Path, members: list[_Member], limit_bytes: int) -> int:
    total = sum(member.size_bytes for member in members)
    if total > limit_bytes:
        raise BadInput(
            archive, f"unpacks to {total / 1e9:.1f} GB", f"at most {limit_bytes / 1e9:.1f} GB for this dataset"
        )
    if not members:
        raise BadInput(archive, "is empty", "an archive with files")
    return total


class _Opened:
    """What :func:`_opened` gives: how a member is read."""

    def __init__(self, archive: zipfile.ZipFile | tarfile.TarFile) -> None:
        self._archive = archive

    def __call__(self, member: _Member) -> IO[bytes]:
        if isinstance(self._archive, zipfile.ZipFile):
            assert isinstance(member.handle, zipfile.ZipInfo)
            return self._archive.open(member.handle)
        assert isinstance(member.handle, tarfile.TarInfo)
        stream = self._archive.extractfile(member.handle)
        assert stream is not None
        return stream


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[_Member], _Opened]]:
    """The checked members of an archive, and how to read them; what is broken is one line."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield _zip_members(path, archive), _Opened(archive)
        elif _is_tar(path):
            with tarfile.open(path) as tar:
                yield _tar_members(path, tar), _Opened(tar)
        else:
            raise BadInput(path, "is no zip or tar archive", "the archive as it was published")
    except _BROKEN as error:
        raise BadInput(path, f"is damaged ({error})", "the archive as it was published", "fetch it again") from None
    except (RuntimeError, NotImplementedError) as error:
        raise BadInput(path, f"cannot be unpacked ({error})", "an archive without a password") from None


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (*_BROKEN, OSError):
        return False


def _zip_members(path: Path, archive: zipfile.ZipFile) -> list[_Member]:
    members = []
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and stat.S_IFMT(mode):
            raise BadInput(path, f"holds a link or a device ({info.filename!r})", "plain files and folders")
        if info.flag_bits & 1:
            raise BadInput(path, f"is encrypted ({info.filename!r})", "an archive without a password")
        checked = _safe(path, info.filename)
        if not info.is_dir():
            members.append(_Member(checked, info.file_size, info))
    return _distinct(path, members)


def _tar_members(path: Path, archive: tarfile.TarFile) -> list[_Member]:
    members = []
    for info in archive:
        if not (info.isreg() or info.isdir()):
            raise BadInput(path, f"holds a link or a device ({info.name!r})", "plain files and folders")
        checked = _safe(path, info.name)
        if info.isreg():
            members.append(_Member(checked, info.size, info))
        if len(members) > MAX_MEMBERS:
            break
    return _distinct(path, members)


def _safe(archive: Path, name: str) -> PurePosixPath:
    """The path of a member, which stays within the folder on every system."""
    path = PurePosixPath(name)
    parts = [part for part in path.parts if part != "."]
    if (
        path.is_absolute()
        or ".." in parts
        or "\\" in name
        or "\0" in name
        or (parts and parts[0].endswith(":"))
        or (parts and len(parts[0]) > 1 and parts[0][1] == ":")
    ):
        raise BadInput(archive, f"holds a path outside of its folder ({name!r})", "relative paths without '..'")
    return PurePosixPath(*parts)


def _distinct(archive: Path, members: list[_Member]) -> list[_Member]:
    if len(members) > MAX_MEMBERS:
        raise BadInput(archive, f"holds more than {MAX_MEMBERS} files", "a dataset")
    files = {member.path for member in members}
    if len(files) < len(members):
        raise BadInput(archive, "holds two files of one name", "an archive as it was published")
    for path in files:
        if not path.parts or any(parent in files for parent in path.parents):
            raise BadInput(archive, f"holds {str(path)!r} as a file and as a folder", "an archive as it was published")
    return members
