"""``anyscope cross``: every ordered pair of datasets x methods x seeds, with floor and ceiling."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from anyscope.adaptation.selection import RULES
from anyscope.crossings.cell import do_cell
from anyscope.crossings.plan import KEY, CrossCell, CrossPlan, plan_crossing
from anyscope.crossings.summary import Summary, methods_of, results_of, summarise
from anyscope.datasets import open_dataset
from anyscope.errors import BadInput, Incomplete
from anyscope.running.atomic import write_text
from anyscope.running.devices import choose_device
from anyscope.running.engines import Engine, choose_engine
from anyscope.running.ledger import Ledger
from anyscope.running.progress import progress, say
from anyscope.running.run_folder import RunFolder
from anyscope.workflows.cross_report import cross_report


@dataclass(frozen=True)
class CrossResult:
    """Where a crossing is, and what it says.

    Args:
        out: Its folder, with ledger.sqlite, scores.csv, recovery.csv, summary.json and report.html.
        summary: Scores, recovered gaps, regrets.
        selection: The rule that the methods were to be used with.
        cells: Number of cells, trainings included.
    """

    out: Path
    summary: Summary
    selection: str
    cells: int

    @property
    def report(self) -> Path:
        """The report page."""
        return self.out / "report.html"


def cross(
    data: Sequence[Path | str],
    out: Path | str,
    *,
    methods: Sequence[str],
    seeds: int = 1,
    profile: str = "fast",
    given: Mapping[str, Any] | None = None,
    transductive: bool = False,
    keep: bool = False,
    device: str = "auto",
    jobs: int = 1,
    scheduler: str | None = None,
    limit: int | None = None,
    resume: bool = False,
    force: bool = False,
) -> CrossResult:
    """Adapt from every dataset to every other by every method, and score all candidates on the target's labels.

    A source is trained on once for each seed; methods that begin with plain training on it begin there. The floor is
    this training as it is (method ``none``), the ceiling the training on the target's own labels.

    Args:
        data: Dataset folders with labels and a test part, two or more.
        out: The folder to make.
        methods: Such as ``histogram`` and ``rescale+histogram+mean-teacher``.
        seeds: How many seeds, from ``train.seed`` on.
        profile: ``fast``, ``best`` or ``paper``.
        given: Settings that differ; see :func:`anyscope.adaptation.settings.adapt_settings`.
        transductive: Learn from all images of the target, those that are scored among them.
        keep: Keep the candidates of every cell on disk.
        device: ``auto``, ``cpu`` or ``cuda``.
        jobs: Cells at the same time on this machine.
        scheduler: Address of a Dask scheduler, whose workers see the same paths.
        limit: Do at most so many cells now; ``resume`` goes on.
        resume: Continue a crossing that was stopped.
        force: Replace a crossing that is there.

    Raises:
        BadInput: Data, methods or settings that do not fit.
        Incomplete: Some cells failed or are left; the others are done and summarised.
    """
    out = Path(out)
    folders = {Path(path).resolve().name: Path(path).resolve() for path in data}
    if len(folders) < len(data):
        raise BadInput("--data", "two datasets of the same name", "folders of different names")
    plan = plan_crossing(
        out, folders, tuple(methods), seeds=seeds, profile=profile, given=dict(given or {}),
        part="all" if transductive else "train", device=device, keep=keep,
    )  # fmt: skip
    for path in folders.values():
        _check(path)
    engine = choose_engine(jobs, scheduler, [choose_device(device)])
    folder = RunFolder.start(out, _plain(plan), resume=resume, force=force)
    with folder.explain_interrupt(), Ledger(out / "ledger.sqlite", KEY) as ledger:
        ledger.forget_failures()
        trainings, crossings = plan.trainings(), plan.crossings()
        number = len(trainings) + len(crossings)
        say(f"cross: {len(folders)} datasets, {len(plan.methods)} methods, {seeds} seed(s): {number} cells on "
            f"{engine.describe()}")  # fmt: skip
        done = _fill(plan, trainings, ledger, engine, limit)
        _fill(plan, crossings, ledger, engine, None if limit is None else max(0, limit - done))
        results = results_of(ledger.cells())
        failed = ledger.failures()
    # A crossing may go on with other methods and seeds: those that are there already stay in its tables.
    shown = methods_of((*plan.methods, *(cell.method for cell in results)))
    numbers = sorted({cell.seed for cell in results} | set(plan.numbers))
    summary = summarise(results, shown, list(RULES))
    _write(out, summary)
    if results:
        cross_report(out, shown, numbers)
    selection = plan.settings(plan.methods[0], 0).selection
    result = CrossResult(out, summary, selection, number)
    left = number - len(failed) - len(results.keys() & {*trainings, *crossings})
    if failed or left:
        listed = "; ".join(f"{' '.join(cell.key)}: {cell.failure}" for cell in failed[:3])
        found = f"{len(failed)} of {number} cells failed, {left} are left" + (f": {listed}" if listed else "")
        raise Incomplete(out, found, remedy="--resume goes on")
    folder.finish({"cells": number})
    return result


def _fill(plan: CrossPlan, cells: Sequence[CrossCell], ledger: Ledger, engine: Engine, limit: int | None) -> int:
    """Do the cells that are missing; how many were done."""
    done = ledger.done()
    left = [cell for cell in cells if cell.key not in done]
    left = left if limit is None else left[:limit]
    with progress("cross", len(cells), "cells", len(cells) - len(left)) as shown:
        for cell, found in engine.run(partial(do_cell, plan), left):
            ledger.write([found])
            shown.advance(note=cell.folder)
    return len(left)


def _check(path: Path) -> None:
    """Refuse datasets that cannot be crossed before anything takes long."""
    dataset = open_dataset(path)
    for part in ("train", "test"):
        if not dataset.split[part]:
            raise BadInput(path, f"the split has no part {part}", "images to train on and images to test on")
    dataset.labelled("test")


def _plain(plan: CrossPlan) -> dict[str, Any]:
    """What decides the result of a cell: a crossing that goes on may have more methods and seeds than before."""
    return {
        "verb": "cross",
        "data": {name: str(path) for name, path in plan.data.items()},
        "profile": plan.profile,
        "given": dict(plan.given),
        "part": plan.part,
        "keep": plan.keep,
    }


def _write(out: Path, summary: Summary) -> None:
    write_text(out / "summary.json", json.dumps(summary.to_json(), indent=2) + "\n")
    for name, rows in (("scores", summary.scores), ("recovery", summary.recoveries)):
        text = io.StringIO()
        plain = [asdict(row) for row in rows]
        writer = csv.DictWriter(text, list(plain[0]) if plain else ["empty"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(plain)
        write_text(out / f"{name}.csv", text.getvalue())
