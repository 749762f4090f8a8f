"""The page of a crossing from its ledger."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from anyscope.adaptation.selection import RULES
from anyscope.crossings.plan import CEILING, KEY
from anyscope.errors import BadInput, Incomplete
from anyscope.running.ledger import Cell, Ledger
from anyscope.running.run_folder import RunFolder
from anyscope.workflows.report import report

DATA = {"vnc": "/somewhere/vnc", "lucchi": "/elsewhere/lucchi"}


def result(score: float, alarms: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"pooled": [score, score + 0.01], "per_slice": [score, None], "choices": dict.fromkeys(RULES, 0),
            "selection": "combined", "alarms": list(alarms)}  # fmt: skip


@pytest.fixture
def crossing(tmp_path: Path) -> Path:
    """A folder as ``cross`` leaves it, without any cell."""
    out = tmp_path / "crossing"
    settings = {"verb": "cross", "data": DATA, "profile": "fast", "given": {"train": {"epochs": 3}}, "part": "all",
                "keep": False}  # fmt: skip
    RunFolder.start(out, settings, resume=False, force=False)
    return out


def fill(out: Path, *cells: Cell) -> None:
    with Ledger(out / "ledger.sqlite", KEY) as ledger:
        ledger.write(cells)


def complete() -> list[Cell]:
    cells = [Cell((name, name, CEILING, "0"), result(0.9)) for name in DATA]
    for method, score in (("none", 0.5), ("histogram", 0.6)):
        alarms = ("supervised: 1 of 2 candidates have collapsed (epoch 1: nothing)",) if method == "none" else ()
        cells += [Cell((*pair, method, "0"), result(score, alarms)) for pair in permutations(DATA, 2)]
    return cells


def test_a_whole_crossing(crossing: Path) -> None:
    fill(crossing, *complete())
    path = report(crossing)
    html = path.read_text(encoding="utf-8")
    assert path == crossing / "report.html"
    assert "histogram recovers most: 25% of the gap over 2 pairs" in html
    assert "not finished" not in html
    assert "transductive" in html
    assert "supervised: 1 of 2 candidates have collapsed<" in html
    assert "somewhere" not in html
    command = "anyscope cross --data vnc --data lucchi --methods histogram --out crossing --seeds 1 --profile fast"
    assert f"{command} --transductive --set train.epochs=3" in html
    assert report(crossing).read_text(encoding="utf-8") == html


def test_an_incomplete_crossing(crossing: Path) -> None:
    cells = complete()
    failed = Cell(cells[-1].key, None, "/somewhere/vnc/images/a.tif: cannot be read")
    fill(crossing, *cells[:-2], failed)
    html = report(crossing).read_text(encoding="utf-8")
    assert "1 cells are still to be done" in html
    assert "1 cell has failed" in html
    assert "vnc/images/a.tif: cannot be read" in html
    assert "/somewhere" not in html


def test_the_trainings_alone(crossing: Path) -> None:
    fill(crossing, *complete()[:1])
    html = report(crossing).read_text(encoding="utf-8")
    assert "none but the floor was carried out" in html


def test_nothing_was_measured(crossing: Path) -> None:
    with pytest.raises(Incomplete, match="no cell has been measured"):
        report(crossing)
    fill(crossing, Cell(("vnc", "vnc", CEILING, "0"), None, "no memory"))
    with pytest.raises(Incomplete, match="no memory"):
        report(crossing)


def test_other_runs_are_named(tmp_path: Path) -> None:
    RunFolder.start(tmp_path / "run", {"verb": "predict"}, resume=False, force=False)
    with pytest.raises(BadInput, match="train, stress, adapt or cross"):
        report(tmp_path / "run")
