"""The walks of docs/walks: their commands still work, and end as the pages say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(path.stem for path in (DOCS / "walks").glob("*.md"))


def load_walk():
    spec = importlib.util.spec_from_file_location("walk", DOCS / "walk.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.walk


walk = load_walk()


def test_outputs_take_the_place_of_what_stood_there(tmp_path):
    page = "# A\n```console\n$ echo one \\\n  two > file\n$ cat file; echo $DATA/x\nold\n$ false || echo $?\n```\nB\n"
    walked = walk(page, Path("/data"), tmp_path)
    assert walked == page.replace("old\n", "one two\n$DATA/x\n").replace("echo $?\n", "echo $?\n1\n")
    assert walk(walked, Path("/data"), tmp_path) == walked


def test_a_walk_ends_where_a_command_fails(tmp_path):
    page = "```console\n$ touch one\n$ ls nothing\n$ touch two\n```\n"
    with pytest.raises(RuntimeError, match="ls nothing"):
        walk(page, Path("/data"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the walks are written for bash")
@pytest.mark.parametrize("page", PAGES)
def test_a_page(real_data, tmp_path, page):
    text = (DOCS / "walks" / f"{page}.md").read_text()
    walked = walk(text, real_data, tmp_path)
    (tmp_path / f"{page}.md").write_text(walked)  # for whoever renews the page
    # Numbers differ from machine to machine, what is done and how it ends does not.
    for kind in ("$ ", "exit code", "#"):
        assert [line for line in walked.splitlines() if line.startswith(kind)] == [
            line for line in text.splitlines() if line.startswith(kind)
        ]
    assert len(walked.splitlines()) > 1.5 * sum(line.startswith("$ ") for line in text.splitlines())
