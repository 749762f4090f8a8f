"""Running an assay: tasks to an engine, cells into the ledger."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from anyscope.assay.measure import do_task
from anyscope.assay.plan import AssayPlan
from anyscope.running.engines import Engine
from anyscope.running.ledger import Cell, Ledger
from anyscope.running.progress import progress

KEY = ("model", "condition", "image")


def open_ledger(folder: Path) -> Ledger:
    """The ledger of an assay's folder."""
    return Ledger(folder / "ledger.sqlite", KEY)


def run_assay(plan: AssayPlan, ledger: Ledger, engine: Engine) -> list[Cell]:
    """Fill the cells that are missing; those that failed before are tried again.

    Args:
        plan: What to do.
        ledger: Where the cells go; one transaction for each task.
        engine: Who does the tasks.

    Returns:
        The cells that failed.
    """
    ledger.forget_failures()
    done = ledger.done()
    tasks = plan.tasks(done)
    left = sum(len(task.missing) for task in tasks)
    with progress("stress", len(done) + left, "cells", len(done)) as shown:
        for task, cells in engine.run(partial(do_task, plan), tasks):
            ledger.write(cells)
            shown.advance(len(cells), task.condition)
    return ledger.failures()
