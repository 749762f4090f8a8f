"""Running an assay: tasks to an engine, cells into the ledger."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from anyscope.assay.lessons import learn_universal
from anyscope.assay.measure import do_task
from anyscope.assay.perturbations import FOLDER
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

    Universal perturbations are learned first, into a folder beside the ledger; a learning that was stopped goes on.

    Args:
        plan: What to do.
        ledger: Where the cells go; one transaction for each task.
        engine: Who does the tasks.

    Returns:
        The cells that failed.
    """
    ledger.forget_failures()
    done = ledger.done()
    folder = ledger.path.resolve().parent / FOLDER
    tasks = [task._replace(learned=str(folder)) for task in plan.tasks(done)]
    learn_universal(plan, folder, engine, tasks)
    left = sum(len(task.missing) for task in tasks)
    with progress("stress", len(done) + left, "cells", len(done)) as shown:
        for task, cells in engine.run(partial(do_task, plan), tasks):
            ledger.write(cells)
            shown.advance(len(cells), task.condition)
    return ledger.failures()
