"""Outputs that are whole or absent, run folders that resume, progress in words."""

from __future__ import annotations

import errno
import json
import threading
import time
from contextlib import suppress

import pytest

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.running.atomic import atomic_file, atomic_folder, write_text
from anyscope.running.progress import progress
from anyscope.running.run_folder import RunFolder


def test_a_file_appears_whole(tmp_path):
    with atomic_file(tmp_path / "deep" / "a.tif") as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".tif"
        assert not (tmp_path / "deep" / "a.tif").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.tif"]


def test_a_failed_file_leaves_nothing_and_keeps_the_old_one(tmp_path):
    write_text(tmp_path / "a", "old")
    with pytest.raises(EnvironmentFault, match="the disk is full"), atomic_file(tmp_path / "a") as temporary:
        temporary.write_text("new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}


def test_a_folder_appears_whole_and_replaces_only_when_asked(tmp_path):
    with atomic_folder(tmp_path / "data") as folder:
        (folder / "x").write_text("1")
    with pytest.raises(BadInput, match="--force"), atomic_folder(tmp_path / "data"):
        pytest.fail("an existing folder must not be opened")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "data", replace=True) as folder:
        (folder / "x").write_text("2")
        raise RuntimeError
    assert (tmp_path / "data" / "x").read_text() == "1"
    with atomic_folder(tmp_path / "data", replace=True) as folder:
        (folder / "x").write_text("2")
    assert (tmp_path / "data" / "x").read_text() == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_that_failed_is_gone_though_others_still_write_to_it(tmp_path):
    def write_late(folder):
        for number in range(60):
            with suppress(FileNotFoundError):  # removed in between
                folder.mkdir(parents=True, exist_ok=True)
                (folder / str(number)).write_text("late")
            time.sleep(0.005)

    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "data") as folder:
        late = threading.Thread(target=write_late, args=(folder / "deep",))
        late.start()
        raise RuntimeError
    late.join()
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="not a folder|exists"), atomic_file(tmp_path / "file" / "a"):
        pytest.fail("there is no such place")


def test_resume_refuses_other_settings_and_says_which(tmp_path):
    RunFolder.start(tmp_path / "run", {"seed": 0, "a": {"b": (1, 2)}}, resume=False, force=False)
    again = RunFolder.start(tmp_path / "run", {"seed": 0, "a": {"b": [1, 2]}}, resume=True, force=False)
    assert not again.finished
    with pytest.raises(BadInput, match=r"a\.b was \[1, 2\], is \[1, 3\]"):
        RunFolder.start(tmp_path / "run", {"seed": 0, "a": {"b": (1, 3)}}, resume=True, force=False)
    with pytest.raises(BadInput, match="--force"):
        RunFolder.start(tmp_path / "run", {"seed": 0}, resume=False, force=False)


def test_force_replaces_runs_and_nothing_else(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "data").write_text("x")
    with pytest.raises(BadInput, match="not a run"):
        RunFolder.start(tmp_path / "precious", {}, resume=False, force=True)
    run = RunFolder.start(tmp_path / "run", {"seed": 0}, resume=False, force=False)
    run.record({"epoch": 1})
    run = RunFolder.start(tmp_path / "run", {"seed": 1}, resume=False, force=True)
    assert run.records() == []
    assert run.settings() == {"seed": 1}


def test_records_survive_a_line_that_was_cut(tmp_path):
    run = RunFolder.start(tmp_path / "run", {}, resume=False, force=False)
    for epoch in (1, 2, 3):
        run.record({"epoch": epoch})
    with open(tmp_path / "run" / "metrics.jsonl", "a") as handle:
        handle.write('{"epoch": 4, "train_l')
    assert [record["epoch"] for record in run.records()] == [1, 2, 3]
    run.keep_records(2)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"settings\.yaml"):
        RunFolder.of(tmp_path)
    with pytest.raises(BadInput, match="no such folder"):
        RunFolder.of(tmp_path / "nothing")


def test_progress_says_how_far_it_came(capsys):
    with progress("train", 4, "steps", done=1) as shown:
        shown.advance(2)
        assert "3/4 steps" in shown.describe("loss 1")
    assert "train: 3/4 steps" in capsys.readouterr().err


def test_a_document_that_is_no_object_is_refused(tmp_path):
    run = RunFolder.start(tmp_path / "run", {}, resume=False, force=False)
    assert run.document("finished.json") == {}
    run.finish({"score": 0.5})
    assert run.document("finished.json") == {"score": 0.5}
    for content, found in (("[1]", "a JSON list"), ("{", "is not JSON")):
        (tmp_path / "run" / "finished.json").write_text(content)
        with pytest.raises(BadInput, match=found):
            run.document("finished.json")
