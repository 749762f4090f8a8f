"""Archives that mean harm, or are broken: one line, and nothing left behind."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.datasets.catalog import archives
from anyscope.datasets.catalog.archives import _safe, is_archive, unpack
from anyscope.errors import BadInput, EnvironmentFault

LIMIT = 10**6


def make_zip(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def make_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zip_link(path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return make_zip(path, [("a", b"1"), (info, b"/etc/passwd")])


def tar_special(kind, **more):
    def make(path):
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo("special")
            info.type = kind
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info)
        return path

    return make


def encrypted(path):
    make_zip(path, [("a", b"secret")])
    raw = bytearray(path.read_bytes())
    raw[6] |= 1  # the flag in the local header, then in the central directory
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    return path


def corrupt(path):
    make_zip(path, [("a", b"0123456789" * 100)])
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"0123456789", b"0123456780", 1))
    return path


def truncated(path):
    make_tar(path, [("a", bytes(50_000)), ("b", bytes(range(256)) * 200)])
    path.write_bytes(path.read_bytes()[:-60])
    return path


HOSTILE = {
    "parent": (lambda path: make_zip(path, [("../evil", b"1")]), "outside"),
    "deep parent": (lambda path: make_zip(path, [("a/../../evil", b"1")]), "outside"),
    "absolute": (lambda path: make_zip(path, [("/evil", b"1")]), "outside"),
    "backslash": (lambda path: make_zip(path, [("..\\evil", b"1")]), "outside"),
    "drive": (lambda path: make_zip(path, [("C:/evil", b"1")]), "outside"),
    "tar parent": (lambda path: make_tar(path, [("../evil", b"1")]), "outside"),
    "tar absolute": (lambda path: make_tar(path, [("/evil", b"1")]), "outside"),
    "zip link": (zip_link, "link"),
    "tar symlink": (tar_special(tarfile.SYMTYPE, linkname="/etc/passwd"), "link"),
    "tar hardlink": (tar_special(tarfile.LNKTYPE, linkname="../secret"), "link"),
    "tar device": (tar_special(tarfile.CHRTYPE), "device"),
    "tar fifo": (tar_special(tarfile.FIFOTYPE), "device"),
    "bomb": (lambda path: make_zip(path, [("a", bytes(2 * LIMIT))], zipfile.ZIP_DEFLATED), "unpacks to"),
    "tar bomb": (lambda path: make_tar(path, [("a", bytes(2 * LIMIT))]), "unpacks to"),
    "many small": (lambda path: make_zip(path, [(f"{n}", bytes(LIMIT // 4)) for n in range(5)]), "unpacks to"),
    "file and folder": (lambda path: make_tar(path, [("a", b"1"), ("a/b", b"2")]), "as a file and as a folder"),
    "same name": (lambda path: make_tar(path, [("a", b"1"), ("./a", b"2")]), "one name"),
    "encrypted": (encrypted, "encrypted"),
    "corrupt": (corrupt, "damaged"),
    "truncated": (truncated, "damaged"),
    "empty": (lambda path: make_zip(path, []), "empty"),
    "no archive": (lambda path: path.write_text("<html>log in</html>") and path, "no zip or tar"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(name, tmp_path, capsys):
    make, message = HOSTILE[name]
    archive = make(tmp_path / "in" / "archive.bin") if (tmp_path / "in").mkdir() is None else None
    with pytest.raises(BadInput, match=message) as caught:
        unpack(archive, tmp_path / "in" / "out", LIMIT)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "archive.bin"]


@pytest.mark.parametrize("kind", ["zip", "zip deflated", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_sound_archives_are_unpacked(kind, tmp_path, capsys):
    members = [("top/a.txt", b"one"), ("./top/deep/b.bin", bytes(range(256)) * 800), ("empty", b"")]
    path = tmp_path / "archive"
    if kind.startswith("zip"):
        make_zip(path, members, zipfile.ZIP_DEFLATED if "deflated" in kind else zipfile.ZIP_STORED)
    else:
        make_tar(path, members, "w:" + kind.partition(".")[2])
    assert is_archive(path)
    unpack(path, tmp_path / "deep" / "out", 10**7)
    for name, content in members:
        assert (tmp_path / "deep" / "out" / name).read_bytes() == content
    # What is there already is taken as done.
    path.write_bytes(b"no archive any more")
    unpack(path, tmp_path / "deep" / "out", 1)


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    for make, name in ((make_zip, "a.zip"), (make_tar, "a.tar")):
        with pytest.raises(BadInput, match="more than 3 files"):
            unpack(make(tmp_path / name, [(f"{n}", b"") for n in range(5)]), tmp_path / "out", LIMIT)


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "a.zip", [("a", bytes(1000))])
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(EnvironmentFault, match="free some space"):
        unpack(path, tmp_path / "out", LIMIT)
    assert not (tmp_path / "out").exists()


@given(st.lists(st.sampled_from(["..", ".", "a", "b", "", "C:", "a\\b", "/"]), min_size=1, max_size=6))
def test_a_path_is_refused_or_stays_within(parts):
    name = "/".join(parts)
    try:
        path = _safe("archive", name)
    except BadInput:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert "\\" not in str(path)
