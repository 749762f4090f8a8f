"""The page of a crossing, gathered from its ledger."""

from __future__ import annotations

import json
import shlex
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anyscope.adaptation.selection import RULES
from anyscope.adaptation.settings import adapt_settings
from anyscope.crossings.plan import CEILING, FLOOR, KEY
from anyscope.crossings.summary import FLOOR_RULE, MEASURES, Results, methods_of, results_of, score_by, summarise
from anyscope.errors import Incomplete
from anyscope.reports.crossing_findings import Crossed
from anyscope.reports.crossing_report import CrossingReport, crossing_report
from anyscope.running.atomic import write_text
from anyscope.running.ledger import Cell, Ledger
from anyscope.running.run_folder import RunFolder, flatten


def cross_report(folder: Path, methods: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> Path:
    """Write ``report.html`` into the folder of a crossing and return its path.

    Args:
        folder: The folder.
        methods: Methods in their order, with the floor; those in the ledger where None.
        seeds: Seeds that were asked for; those in the ledger where None.

    Raises:
        BadInput: The folder is not that of a crossing.
        Incomplete: Nothing has been measured yet.
    """
    run = RunFolder.of(folder)
    settings = run.settings()
    data = tuple(settings["data"])
    with Ledger(folder / "ledger.sqlite", KEY) as ledger:
        cells, failures = list(ledger.cells()), ledger.failures()
    results = results_of(cells)
    if not results:
        why = f": {failures[0].failure}" if failures else ""
        raise Incomplete(folder, f"no cell has been measured{why}", remedy="--resume goes on")
    methods = tuple(methods or methods_of(cell.key[2] for cell in cells))
    seeds = seeds or sorted({int(cell.key[3]) for cell in cells})
    rule = next(iter(results.values())).get("selection") or adapt_settings(FLOOR, settings["profile"]).selection
    # Training on own labels is summarised as a method of its own: its scores are the ceilings.
    summary = summarise(results, (*methods, CEILING), list(RULES))
    wanted = len(seeds) * len(data) * (1 + len(methods) * (len(data) - 1))
    page = crossing_report(
        CrossingReport(
            title=f"Crossing {len(data)} datasets: {_listed(data)}",
            crossed=Crossed(summary, methods, data, rule, tuple(RULES), gains(results, rule)),
            seeds=len(seeds),
            failures=[Cell(cell.key, None, _short(cell.failure, settings, folder)) for cell in failures],
            left=max(0, wanted - len(results) - len(failures)),
            settings=_settings(settings),
            environment=run.document("environment.json"),
            warnings=_warnings(results.values(), settings, folder),
            notes=_notes(settings),
            commands=commands(folder.resolve().name, settings, methods, seeds),
        )
    )
    path = folder / "report.html"
    write_text(path, page)
    return path


def gains(results: Results, rule: str) -> dict[tuple[str, str, str, str], float]:
    """Mean gain of every method over the floor, by source, target, method and measure.

    Args:
        results: Results by cell.
        rule: The selection rule of the methods; the floor is chosen on source validation.
    """
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for cell, result in results.items():
        floor = results.get(cell._replace(method=FLOOR))
        if floor is None:
            continue
        for measure in MEASURES:
            gain = score_by(result, rule, measure) - score_by(floor, FLOOR_RULE, measure)
            found.setdefault((cell.source, cell.target, cell.method, measure), []).append(gain)
    return {key: statistics.fmean(values) for key, values in found.items()}


def _listed(names: Sequence[str], most: int = 4) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(", ".join(names).rsplit(", ", 1))


def _notes(settings: Mapping[str, Any]) -> list[str]:
    if settings["part"] != "all":
        return []
    return ["The methods learned from all images of a target, those that are scored among them (transductive)."]


def _warnings(results: Iterable[Mapping[str, Any]], settings: Mapping[str, Any], folder: Path) -> list[tuple[str, int]]:
    """What the adaptations warned of, without the numbers in brackets, the most frequent first."""
    found = Counter(
        _short(str(text), settings, folder).split(" (epoch ")[0]
        for result in results for text in result.get("alarms", ())
    )  # fmt: skip
    return sorted(found.items(), key=lambda each: (-each[1], each[0]))


def _short(text: str | None, settings: Mapping[str, Any], folder: Path) -> str:
    """A message without the places of folders: a page is passed on."""
    text = text or ""
    for path in (*settings["data"].values(), str(folder.resolve()), str(folder)):
        text = text.replace(path, Path(path).name)
    return text


def _settings(settings: Mapping[str, Any]) -> dict[str, object]:
    plain = {key: value for key, value in settings.items() if value not in (None, {})}
    return {**plain, "data": list(settings["data"])}


def commands(out: str, settings: Mapping[str, Any], methods: Sequence[str], seeds: Sequence[int]) -> tuple[str, ...]:
    """What to type to get the same crossing and its page, with folders by their names.

    Args:
        out: Name of the folder of the crossing.
        settings: What its settings.yaml holds.
        methods: Its methods.
        seeds: Its seeds.
    """
    words = ["anyscope", "cross"]
    for path in settings["data"].values():
        words += ["--data", Path(path).name]
    listed = [method for method in methods if method != FLOOR] or [FLOOR]
    words += ["--methods", ",".join(listed), "--out", out, "--seeds", str(len(seeds))]
    words += ["--profile", settings["profile"]]
    words += ["--transductive"] if settings["part"] == "all" else []
    words += ["--keep"] if settings["keep"] else []
    for key, value in flatten(settings["given"]).items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    return shlex.join(words), shlex.join(["anyscope", "report", out])
