"""A grid of trainings: models x data x seeds, each a run of its own, resumable as a whole."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from anyscope.errors import AnyscopeError, BadInput, Incomplete
from anyscope.images import ReadOptions
from anyscope.models import MODELS
from anyscope.options import parse_overrides
from anyscope.running import processes
from anyscope.running.atomic import write_text
from anyscope.running.devices import choose_device
from anyscope.running.engines import choose_engine, worker_device
from anyscope.running.ledger import Cell, Ledger
from anyscope.running.progress import progress, say
from anyscope.running.run_folder import RunFolder
from anyscope.training.settings import TrainSettings
from anyscope.workflows.train import train

KEY = ("data", "model", "seed")


class GridCell(NamedTuple):
    """One training of a grid.

    Args:
        data: The dataset folder.
        name: Name of the dataset.
        model: The model as it was asked for.
        settings: Its settings, model, arguments and seed among them.
        folder: Its run folder.
    """

    data: Path
    name: str
    model: str
    settings: TrainSettings
    folder: Path

    @property
    def key(self) -> tuple[str, str, str]:
        """Its key in the ledger."""
        return self.name, self.model, str(self.settings.seed)


@dataclass(frozen=True)
class GridResult:
    """Where the runs of a grid are, and what each reached.

    Args:
        out: The folder of the grid, with a folder for each run, ledger.sqlite and runs.csv.
        rows: One for each run: data, model, seed, run, validation score, test score and its name, seconds.
    """

    out: Path
    rows: tuple[dict[str, Any], ...]


def train_grid(
    data: Sequence[Path | str],
    out: Path | str,
    *,
    models: Sequence[str],
    seeds: int = 1,
    settings: TrainSettings,
    device: str = "auto",
    jobs: int = 1,
    scheduler: str | None = None,
    read: ReadOptions | None = None,
    resume: bool = False,
    force: bool = False,
) -> GridResult:
    """Train every model on every dataset with every seed.

    Args:
        data: Dataset folders.
        out: The folder to make; runs are called DATA-MODEL, with the seed where there are several.
        models: Names of the zoo, with arguments where they differ: ``unet_small``, ``fcn8s:width=0.25``.
        seeds: How many seeds, counted from that of the settings.
        settings: What each run does, but for model and seed.
        device: ``auto``, ``cpu`` or ``cuda``.
        jobs: Runs at the same time on this machine.
        scheduler: Address of a Dask scheduler, whose workers see the same paths.
        read: How to read images where the files leave it open.
        resume: Continue a grid that was stopped.
        force: Replace a grid that is there.

    Raises:
        BadInput: Unknown models, or datasets of one name.
        Incomplete: Some runs failed; the others are done.
    """
    if processes.count() > 1:
        shared = f"{processes.count()} processes were started together (WORLD_SIZE), for {len(models)} model(s)"
        raise BadInput("train", shared, "one model, one dataset and one seed", "start it by itself, with --jobs")
    out = Path(out)
    asked = {model: _model(model, settings) for model in models}
    names = {Path(path).resolve().name: Path(path) for path in data}
    if len(names) < len(data):
        raise BadInput("--data", "two datasets of the same name", "folders of different names")
    plain = {
        "verb": "train grid",
        "data": [str(path.resolve()) for path in names.values()],
        "models": list(models),
        "seeds": seeds,
        **settings.model_dump(mode="json", exclude={"model", "seed"}),
        "first_seed": settings.seed,
    }
    cells = [
        GridCell(path, name, model, chosen, out / _folder_name(name, model, seed, seeds))
        for name, path in names.items()
        for model, own in asked.items()
        for seed in range(settings.seed, settings.seed + seeds)
        for chosen in [own.model_copy(update={"seed": seed})]
    ]
    devices = [choose_device(device)]
    folder = RunFolder.start(out, plain, resume=resume, force=force)
    with folder.explain_interrupt(), Ledger(out / "ledger.sqlite", KEY) as ledger:
        ledger.forget_failures()
        done = ledger.done()
        left = [cell for cell in cells if cell.key not in done]
        engine = choose_engine(jobs, scheduler, devices)
        say(f"grid: {len(cells)} runs, {len(left)} of them to do, on {engine.describe()}")
        with progress("grid", len(cells), "runs", len(cells) - len(left)) as shown:
            for cell, found in engine.run(partial(_train_cell, device, read or ReadOptions()), left):
                ledger.write([found])
                shown.advance(note=cell.folder.name)
        rows = tuple(_row(cell) for cell in ledger.cells())
        failed = ledger.failures()
    _write_rows(out, rows)
    folder.finish({"runs": len(cells), "failed": len(failed)})
    if failed:
        listed = "; ".join(f"{' '.join(cell.key)}: {cell.failure}" for cell in failed)
        raise Incomplete(out, f"{len(failed)} of {len(cells)} runs failed: {listed}", remedy="--resume tries again")
    return GridResult(out, rows)


def _train_cell(device: str, read: ReadOptions, cell: GridCell) -> Cell:
    """Train one run; what is wrong with it becomes a failure of its cell."""
    started = time.monotonic()
    chosen = (worker_device() if device == "auto" else None) or device
    try:
        result = train(
            cell.data, cell.folder, settings=cell.settings, device=chosen, read=read,
            resume=(cell.folder / "settings.yaml").is_file(),
        )  # fmt: skip
    except AnyscopeError as error:
        if error.exit_code == 130:
            raise
        return Cell(cell.key, failure=str(error))
    test = None if result.test is None else result.test["scores"]
    return Cell(
        cell.key,
        {
            "run": cell.folder.name,
            "validation": result.validation_score,
            "test": test,
            "best_epoch": result.best_epoch,
            "seconds": round(time.monotonic() - started, 1),
        },
    )


def _model(text: str, settings: TrainSettings) -> TrainSettings:
    """The settings with the model that ``NAME:KEY=VALUE:...`` asks for."""
    name, *pairs = text.split(":")
    arguments = {**settings.arguments, **parse_overrides(pairs)}
    MODELS[name].check(arguments)
    return settings.model_copy(update={"model": name, "arguments": arguments})


def _folder_name(data: str, model: str, seed: int, seeds: int) -> str:
    return f"{data}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', model)}" + (f"-s{seed}" if seeds > 1 else "")


def _row(cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(KEY, cell.key, strict=True))
    if cell.result is None:
        return row | {"failure": cell.failure}
    test = {f"test_{name}": value for name, value in (cell.result["test"] or {}).items()}
    return row | {name: value for name, value in cell.result.items() if name != "test"} | test


def _write_rows(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "runs.csv", text.getvalue())
