"""The cells and scores of an assay as tables: every cell as CSV and Parquet, the scores of models as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anyscope.assay.conditions import Condition
from anyscope.assay.gains import Gain
from anyscope.assay.scores import AssayScores
from anyscope.metrics import default_protocol
from anyscope.metrics.protocols import Counts
from anyscope.running.atomic import atomic_file, write_text
from anyscope.running.ledger import Ledger

_COLUMNS = ("model", "condition", "kind", "family", "name", "level", "norm", "image")


def write_tables(ledger: Ledger, folder: Path, scores: Sequence[AssayScores]) -> None:
    """Write ``cells.csv``, ``cells.parquet``, ``scores.csv`` and ``series.csv`` into the folder of an assay."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = cell_rows(ledger)
    columns = [*_COLUMNS, *dict.fromkeys(name for row in rows for name in row if name not in _COLUMNS)]
    write_text(folder / "cells.csv", _csv(columns, [[row.get(name) for name in columns] for row in rows]))
    with atomic_file(folder / "cells.parquet") as temporary:
        table = pa.table({name: [row.get(name) for row in rows] for name in columns})
        pq.write_table(table, temporary)
    for name, rows_of in (("scores.csv", score_rows), ("series.csv", series_rows)):
        found = [row for one in scores for row in rows_of(one)]
        write_text(folder / name, _csv(list(found[0]) if found else [], [list(row.values()) for row in found]))


def write_gains(folder: Path, gains: Sequence[Gain]) -> None:
    """Write ``gains.csv``, what robust training gained; no file where no run can be compared."""
    if gains:
        columns = ("network", "robust", "under", "conditions", "standard_runs", "robust_runs", "standard", "hardened",
                   "difference", "low", "high")  # fmt: skip
        rows = [
            [g.network, g.robust, g.under, g.conditions, *g.runs]
            + [_number(value) for value in (g.standard, g.hardened, g.difference, g.low, g.high)]
            for g in gains
        ]
        write_text(folder / "gains.csv", _csv(columns, rows))


def cell_rows(ledger: Ledger) -> list[dict[str, Any]]:
    """One row for each cell: what it is, its counts and its scores; ``failure`` where it has none."""
    rows = []
    for cell in ledger.cells():
        condition = Condition.parse(cell.key[1])
        row: dict[str, Any] = {
            "model": cell.key[0], "condition": cell.key[1], "kind": condition.kind, "family": condition.family,
            "name": condition.name, "level": condition.level,
            "norm": condition.norm if condition.kind == "attack" else None, "image": cell.key[2],
        }  # fmt: skip
        if cell.failure is not None:
            row["failure"] = cell.failure
        for measure, stored in (cell.result or {}).items():
            counts = Counts.from_json(stored)
            protocol = default_protocol("instances")
            if measure == "mask":
                protocol = default_protocol("semantic", 3 if "pairs" in counts.rows else 2)
                if "pixels" in counts.sums:
                    row |= dict(zip(("tp", "fp", "fn", "tn"), counts.sums["pixels"].tolist(), strict=True))
            row |= {f"{measure}_{name}": _number(value) for name, value in protocol.scores(counts).items()}
        rows.append(row)
    return rows


def score_rows(scores: AssayScores) -> list[dict[str, Any]]:
    """One row for each model: absolute scores, ratios beside them, ranks."""
    low, condition = scores.worst
    rows = []
    for m, model in enumerate(scores.models):
        rows.append(
            {
                "model": model,
                "measure": scores.tally.measure,
                "images": len(scores.tally.images),
                "clean": _number(scores.clean[m]),
                "corrupted": _number(scores.corrupted[m]),
                "corrupted_over_clean": _ratio(scores.corrupted[m], scores.clean[m]),
                "mean_cd": _number(scores.mean_degradation[m]),
                "worst": _number(low[m]),
                "worst_condition": None if condition[m] is None else condition[m].key,  # type: ignore[union-attr]
                "attacked": _number(scores.attacked[m]),
                "attacked_over_clean": _ratio(scores.attacked[m], scores.clean[m]),
                "shifted": _number(scores.shifted[m]),
                "rank": int(scores.ranks[m]) or None,
                "attack_rank": int(scores.attack_ranks[m]) or None,
                "reference": scores.reference,
            }
        )
    return rows


def series_rows(scores: AssayScores) -> list[dict[str, Any]]:
    """One row for each model and corruption or attack: summaries over its levels."""
    rows = []
    for name, group in scores.series.items():
        mean, area = scores.mean_over([name]), scores.area(name)
        lost, relative = scores.corruption_degradation(name), scores.relative_degradation(name)
        for m, model in enumerate(scores.models):
            rows.append(
                {
                    "model": model,
                    "measure": scores.tally.measure,
                    "series": name,
                    "family": group[0].family,
                    "mean": _number(mean[m]),
                    "mean_over_clean": _ratio(mean[m], scores.clean[m]),
                    "strongest": _number(scores.of(group[-1])[m]),
                    "area": _number(area[m]),
                    "cd": _number(lost[m]),
                    "rcd": _number(relative[m]),
                }
            )
    return rows


def _ratio(value: float, clean: float) -> float | None:
    return _number(value / clean) if clean > 0 else None


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
