"""Fetching from a server that stands in for the network: whole or nothing, resumed, and one line for each failure."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.datasets.catalog.conftest import zipped
from tests.datasets.catalog.fakes import FAKES

from anyscope.datasets import open_dataset
from anyscope.datasets.catalog import CATALOG, fetching
from anyscope.datasets.catalog.entry import SourceFile
from anyscope.datasets.catalog.fetching import fetch
from anyscope.datasets.catalog.getting import get
from anyscope.errors import BadInput, EnvironmentFault

NAMES = list(CATALOG)
pytestmark = pytest.mark.usefixtures("capsys")


def visible(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if not path.name.startswith("packed-") and path.name != "origin"
    )


@pytest.mark.parametrize("name", NAMES)
def test_get_fetches_unpacks_and_prepares(name, offer, server, tmp_path):
    entry, expected = offer(name)
    dataset = get(entry, tmp_path / "out")
    assert set(dataset.images) == set(expected.images)
    for stem, labels in expected.labels.items():
        np.testing.assert_array_equal(dataset.labels[stem].read()[0], labels)
    assert visible(tmp_path) == ["out"]
    record = json.loads((tmp_path / "out" / "source.json").read_text())
    assert record["name"] == name
    assert {f"sha256:{one['sha256']}" for one in record["files"].values()} == {file.checksum for file in entry.files}
    asked = len(server.requests)
    assert asked == len(entry.files)
    assert get(entry, tmp_path / "out", resume=True).root == tmp_path / "out"
    assert len(server.requests) == asked


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_has_is_taken_as_folder_or_as_archives(name, tmp_path):
    """The folder as published, the same with the archives not unpacked, and a single archive."""
    FAKES[name](tmp_path / "published")
    packed = tmp_path / "packed"
    packed.mkdir()
    for file in CATALOG[name].files:
        if file.folder is None:
            (packed / file.name).write_bytes((tmp_path / "published" / file.name).read_bytes())
        else:
            zipped(tmp_path / "published" / file.folder, packed / file.name)
    first = get(CATALOG[name], tmp_path / "a", source=tmp_path / "published")
    second = get(CATALOG[name], tmp_path / "b", source=packed)
    zipped(tmp_path / "published", tmp_path / "all.zip")
    third = get(CATALOG[name], tmp_path / "c", source=tmp_path / "all.zip")
    assert first.split == second.split == third.split
    written = [
        {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        for root in (tmp_path / "a", tmp_path / "b", tmp_path / "c")
    ]
    for files in written:
        files.pop("source.json")
    assert written[0] == written[1] == written[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "all.zip", "b", "c", "packed", "published"]


def test_an_interrupted_download_is_continued_where_it_stopped(offer, server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_CHUNK", 256)
    entry, _ = offer("bbbc039")
    server.break_after = 1024
    with pytest.raises(EnvironmentFault, match=r"images\.zip.*--resume") as caught:
        get(entry, tmp_path / "out")
    assert caught.value.exit_code == 4
    assert visible(tmp_path) == [".out.bbbc039.downloads"]
    server.break_after = None
    with pytest.raises(BadInput, match="--resume"):
        get(entry, tmp_path / "out")
    server.requests.clear()
    get(entry, tmp_path / "out", resume=True)
    first = server.requests[0]
    assert first[0] == "images.zip"
    # Every try had continued the one before.
    assert int(first[1].removeprefix("bytes=").rstrip("-")) == 3 * 1024
    assert visible(tmp_path) == ["out"]


def test_whole_files_are_not_fetched_again(offer, server, tmp_path):
    entry, _ = offer("bbbc039")
    gone = server.files.pop("metadata.zip")
    with pytest.raises(EnvironmentFault, match="404"):
        get(entry, tmp_path / "out")
    server.files["metadata.zip"] = gone
    server.requests.clear()
    get(entry, tmp_path / "out", resume=True)
    assert [name for name, _ in server.requests] == ["metadata.zip"]


def test_force_begins_anew(offer, server, tmp_path):
    entry, _ = offer("vnc")
    server.break_after = 100
    with pytest.raises(EnvironmentFault):
        get(entry, tmp_path / "out")
    server.break_after = None
    server.requests.clear()
    get(entry, tmp_path / "out", force=True)
    assert server.requests == [("groundtruth-drosophila-vnc.zip", None)]
    (tmp_path / "out" / "extra").write_text("old")
    get(entry, tmp_path / "out", force=True)
    assert not (tmp_path / "out" / "extra").exists()


@pytest.mark.parametrize("change", ["another version", "no ranges", "no tag", "weak tag"])
def test_a_part_is_only_continued_by_the_same_file(change, server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_CHUNK", 1000)
    content = bytes(range(256)) * 4000
    server.files["a.zip"], server.break_after = content, 5000
    file = SourceFile("a.zip")
    if change in ("no tag", "weak tag"):
        server.tag = None if change == "no tag" else 'W/"one"'
    with pytest.raises(EnvironmentFault):
        fetch(file, f"{server.url}/a.zip", tmp_path)
    assert (tmp_path / ".a.zip.part").stat().st_size >= 5000
    server.break_after = None
    if change == "another version":
        server.tag, content = '"two"', content[::-1]
        server.files["a.zip"] = content
    server.ranges = change != "no ranges"
    assert fetch(file, f"{server.url}/a.zip", tmp_path).read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_part_that_is_longer_than_the_file_is_dropped(server, tmp_path):
    server.files["a.zip"] = b"short"
    (tmp_path / ".a.zip.part").write_bytes(b"far too long")
    (tmp_path / ".a.zip.part.json").write_text(json.dumps({"url": f"{server.url}/a.zip", "mark": server.tag}))
    assert fetch(SourceFile("a.zip"), f"{server.url}/a.zip", tmp_path).read_bytes() == b"short"


def test_a_wrong_checksum_leaves_nothing_that_could_be_taken_for_the_file(offer, server, tmp_path):
    entry, _ = offer("vnc")
    true = entry.files[0].checksum
    wrong = replace(entry, files=(replace(entry.files[0], checksum="sha256:" + "0" * 64),))
    with pytest.raises(EnvironmentFault) as caught:
        get(wrong, tmp_path / "out")
    text = str(caught.value)
    for part in (server.url, "0" * 64, true.removeprefix("sha256:"), "--from", "--mirror"):
        assert part in text
    assert "\n" not in text
    assert visible(tmp_path) == []


def test_a_server_that_is_not_there(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    entry = CATALOG["bbbc039"]
    with pytest.raises(
        EnvironmentFault, match=rf"127\.0\.0\.1:{port}/images\.zip: cannot be reached \(.*--from"
    ) as caught:
        get(entry, tmp_path / "out", mirror=f"http://127.0.0.1:{port}")
    assert "0x" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_nobody_knows(tmp_path):
    with pytest.raises(EnvironmentFault, match="cannot be reached"):
        fetch(SourceFile("a.zip"), "http://nowhere.invalid/a.zip", tmp_path)
    with pytest.raises(EnvironmentFault, match="no address that can be fetched"):
        fetch(SourceFile("a.zip"), "gopher://nowhere/a.zip", tmp_path)


def test_a_web_page_in_the_place_of_a_file(server, tmp_path):
    server.files["a.zip"], server.types["a.zip"] = b"<html>please log in</html>", "text/html; charset=utf-8"
    with pytest.raises(EnvironmentFault, match="web page"):
        fetch(SourceFile("a.zip"), f"{server.url}/a.zip", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("announce", [True, False])
def test_a_file_far_larger_than_it_should_be(announce, server, tmp_path):
    server.files["a.zip"], server.announce = bytes(3_000_000), announce
    with pytest.raises(EnvironmentFault, match="MB or more"):
        fetch(SourceFile("a.zip", size_bytes=1_000_000), f"{server.url}/a.zip", tmp_path)
    assert [path for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_a_mirror_replaces_the_address(offer, server, tmp_path):
    entry, _ = offer("snemi3d")
    elsewhere = replace(entry, files=(replace(entry.files[0], url="http://nowhere.invalid/snemi.zip"),))
    get(elsewhere, tmp_path / "out", mirror=f"{server.url}/")
    assert server.requests == [("snemi.zip", None)]
    with pytest.raises(BadInput, match="--mirror"):
        get(elsewhere, tmp_path / "other", mirror="ftp://somewhere")


def test_what_cannot_be_fetched_says_where_to_get_it(tmp_path):
    with pytest.raises(BadInput, match=r"get it from https://.*--from"):
        get(CATALOG["er-network"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_there_is_kept(tmp_path):
    FAKES["vnc"](tmp_path / "published")
    get(CATALOG["vnc"], tmp_path / "out", source=tmp_path / "published")
    before = (tmp_path / "out" / "dataset.yaml").stat().st_mtime_ns
    with pytest.raises(BadInput, match="exists already"):
        get(CATALOG["vnc"], tmp_path / "out", source=tmp_path / "published")
    with pytest.raises(BadInput, match="holds vnc; expected snemi3d"):
        get(CATALOG["snemi3d"], tmp_path / "out", resume=True)
    get(CATALOG["vnc"], tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "dataset.yaml").stat().st_mtime_ns == before


def test_a_source_that_is_wrong_leaves_nothing(tmp_path):
    (tmp_path / "text").write_text("no archive")
    (tmp_path / "empty").mkdir()
    for source, message in (("text", "no zip or tar"), ("empty", "missing"), ("gone", "no such file or folder")):
        with pytest.raises(BadInput, match=message):
            get(CATALOG["vnc"], tmp_path / "out", source=tmp_path / source)
    with pytest.raises(BadInput, match="one of them"):
        get(CATALOG["vnc"], tmp_path / "out", source=tmp_path / "empty", mirror="http://x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "text"]


def test_the_users_files_are_not_touched(tmp_path):
    FAKES["dsb2018-stardist"](tmp_path / "published")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "published").rglob("*")}
    get(CATALOG["dsb2018-stardist"], tmp_path / "out", source=tmp_path / "published")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "published").rglob("*")} == before
    # They are copied: what happens to the dataset does not happen to them.
    image = next((tmp_path / "out" / "images").iterdir())
    assert image.stat().st_nlink == 1
    assert open_dataset(tmp_path / "out").voxel_size_nm(image.stem) is None
