from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.running.ledger import Cell, Ledger

PARTS = ("model", "image")


def test_what_is_written_is_read(tmp_path):
    with Ledger(tmp_path / "l.sqlite", PARTS) as ledger:
        ledger.write([Cell(("b", "1"), {"tp": [1, 2]}), Cell(("a", "1"), failure="broke")])
        ledger.write([Cell(("a", "0"), 0.5)])
    with Ledger(tmp_path / "l.sqlite", PARTS) as ledger:
        assert list(ledger.cells()) == [
            Cell(("a", "0"), 0.5),
            Cell(("a", "1"), failure="broke"),
            Cell(("b", "1"), {"tp": [1, 2]}),
        ]
        assert ledger.done() == {("a", "0"), ("b", "1")}
        assert ledger.failures() == [Cell(("a", "1"), failure="broke")]
        assert ledger.forget_failures() == 1
        assert ledger.failures() == []
        assert len(list(ledger.cells())) == 2


def test_a_cell_is_there_once(tmp_path):
    with Ledger(tmp_path / "l.sqlite", PARTS) as ledger:
        ledger.write([Cell(("a", "0"), failure="broke")])
        ledger.write([Cell(("a", "0"), 1)])
        assert list(ledger.cells()) == [Cell(("a", "0"), 1)]


def test_a_batch_is_written_whole_or_not_at_all(tmp_path):
    with Ledger(tmp_path / "l.sqlite", PARTS) as ledger:
        with pytest.raises(sqlite3.ProgrammingError):
            ledger.write([Cell(("a", "0"), 1), Cell(("too", "many", "parts"), 1)])
        assert list(ledger.cells()) == []


@given(st.lists(st.tuples(st.text(), st.text()), unique=True, max_size=8))
def test_any_text_is_a_key(tmp_path_factory, keys):
    keys = [key for key in keys if all(part.isprintable() for part in key)]
    with Ledger(tmp_path_factory.mktemp("ledger") / "l.sqlite", PARTS) as ledger:
        ledger.write(Cell(key, None) for key in keys)
        assert ledger.done() == set(keys)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("hello " * 2000)
    with pytest.raises(BadInput, match="is no ledger"):
        Ledger(tmp_path / "text", PARTS)
    Ledger(tmp_path / "other", ("source", "target"))
    with pytest.raises(BadInput, match="one of model, image"):
        Ledger(tmp_path / "other", PARTS)
    with pytest.raises(EnvironmentFault, match="cannot be used"):
        Ledger(tmp_path / "no" / "such" / "folder.sqlite", PARTS)
    with pytest.raises(ValueError, match="identifiers"):
        Ledger(tmp_path / "x", ("a b",))
