"""``data list`` and ``data get`` as a stranger types them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.datasets.catalog.conftest import offer, server  # noqa: F401
from tests.datasets.catalog.fakes import FAKES

import anyscope
from anyscope import cli
from anyscope.datasets.catalog import CATALOG
from anyscope.workflows.catalog import data_list, datasets_table


def call(capsys, *arguments):
    """Exit code, stdout and stderr of a command in this process."""
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_names_every_dataset(capsys):
    code, out, err = call(capsys, "data", "list")
    assert (code, err) == (0, "")
    lines = out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(CATALOG)
    assert all(len(line) <= 120 for line in lines)
    for line, (_, entry) in zip(lines, CATALOG.items(), strict=True):
        assert ("fetched" in line) == entry.downloadable
        assert ("--from" in line) != entry.downloadable


def test_list_as_json_is_one_document(capsys):
    code, out, _ = call(capsys, "data", "list", "--json")
    document = json.loads(out)
    assert code == 0
    assert [one["name"] for one in document] == list(CATALOG)
    for one in document:
        assert one["licence"]
        assert one["citation"]
        assert one["homepage"]
        assert {"url", "checksum", "size_bytes"} <= set(one["files"][0])


@pytest.mark.parametrize("name", list(CATALOG))
def test_one_dataset_says_everything(name):
    found = data_list(name)
    flat = " ".join(datasets_table(found, whole=True).split())
    for text in (found[0].citation, found[0].split, found[0].licence, found[0].layout, found[0].homepage):
        assert text in flat
    if not found[0].downloadable:
        assert "--from PATH" in flat
    for file in found[0].files:
        assert file.url is None or file.url in flat
        assert (file.checksum or "checksum unknown") in flat or file.url is None


def test_an_unknown_dataset_is_one_line(capsys):
    for verb in (["list", "lucci++"], ["get", "lucci++", "--out", "x"]):
        code, out, err = call(capsys, "data", *verb)
        assert (code, out) == (2, "")
        assert err.startswith("anyscope: dataset 'lucci++': no such name")
        assert "did you mean 'lucchi++'" in err


def test_get_shows_licence_and_citation(capsys, tmp_path):
    FAKES["vnc"](tmp_path / "published")
    code, out, _ = call(capsys, "data", "get", "vnc", "--out", tmp_path / "out", "--from", tmp_path / "published")
    assert code == 0
    assert f"dataset: {tmp_path / 'out'} (1 train, 1 val, 1 test)" in out
    assert "licence: CC BY-NC-SA 3.0" in out
    assert "https://doi.org/10.6084/m9.figshare.856713" in out
    code, out, _ = call(capsys, "data", "check", tmp_path / "out")
    assert code == 0
    code, out, _ = call(capsys, "data", "get", "vnc", "--out", tmp_path / "out", "--resume", "--json")
    assert code == 0
    assert json.loads(out)["parts"] == {"train": 1, "val": 1, "test": 1}


@pytest.fixture
def offered(offer, monkeypatch):  # noqa: F811
    """A dataset of the catalog, as far as the command line knows, that is on the local server."""

    def offered(name, **changes):
        entry, _ = offer(name)
        monkeypatch.setitem(CATALOG._entries, name, replace(entry, **changes))
        return entry

    return offered


def test_get_from_a_server(capsys, tmp_path, offered):
    offered("bbbc039")
    code, out, err = call(capsys, "data", "get", "bbbc039", "--out", tmp_path / "out")
    assert code == 0
    assert "dataset:" in out
    assert "fetch images.zip" in err


def test_what_the_network_does_not_give_is_one_line_and_exit_code_4(capsys, tmp_path, offered, server):  # noqa: F811
    offered("bbbc039")
    del server.files["masks.zip"]
    code, out, err = call(capsys, "data", "get", "bbbc039", "--out", tmp_path / "out")
    assert (code, out) == (4, "")
    last = err.splitlines()[-1]
    assert last.startswith(f"anyscope: {server.url}/masks.zip")
    for word in ("404", "--from", "--mirror", "--resume"):
        assert word in last
    assert not (tmp_path / "out").exists()
    code, out, err = call(capsys, "data", "get", "bbbc039", "--out", tmp_path / "o", "--mirror", "http://127.0.0.1:1")
    assert (code, out) == (4, "")
    assert "127.0.0.1:1/images.zip: cannot be reached" in err.splitlines()[-1]


def test_the_functions_are_those_of_the_package():
    assert anyscope.data_list is data_list
    assert anyscope.data_get.__module__ == "anyscope.workflows.catalog"
