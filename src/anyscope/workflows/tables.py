"""Results as plain text tables for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from anyscope.models.description import ModelDescription

_MARKS = {"good": "✓", "note": "!", "bad": "✗"}
_WIDTH = 110


def ticks(rows: Iterable[tuple[str, str, str]]) -> str:
    """A table of ticks: verdict, subject, text."""
    rows = list(rows)
    left = max((len(subject) for _, subject, _ in rows), default=0)
    lines = []
    for verdict, subject, text in rows:
        wrapped = textwrap.wrap(text, _WIDTH) or [""]
        lines.append(f"{_MARKS[verdict]} {subject:<{left}}  {wrapped[0]}")
        lines += [" " * (left + 4) + more for more in wrapped[1:]]
    return "\n".join(lines)


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """Aligned columns; the first ``text_columns`` to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i < text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), *map(line, rows)])


def evaluation_table(document: Mapping[str, Any]) -> str:
    """An evaluation: every score pooled and over images, with the conventions beneath."""
    rows = []
    for name, pooled in document["scores"].items():
        interval = document["intervals"].get(name)
        between = "" if interval is None else f"{interval[0]:.4f} .. {interval[1]:.4f}"
        spread = document["spread"].get(name)
        rows.append([name, _number(pooled), _number(document["mean"].get(name)), _number(spread), between])
    images = f"{document['n']} image(s)"
    if document["n_empty"]:
        images += f", {document['n_empty']} of them without any object, counted apart"
    table = columns(["score", "pooled", "mean", "sd", "95 % of mean"], rows)
    conventions = [f"  {key.replace('_', ' ')}: {value}" for key, value in document["conventions"].items()]
    return "\n".join([f"protocol {document['protocol']}, {images}", table, *conventions])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def models_table(models: Sequence[ModelDescription], *, whole: bool) -> str:
    """The zoo, a line each, or one model with everything known of it."""
    if whole:
        return "\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in vars(models[0]).items())
    rows = [
        [model.name, f"{model.parameters / 1e6:.2f}", f"{model.flops / 1e9:.1f}", model.licence, model.source]
        for model in models
    ]
    widest = max(len(row[3]) for row in rows)
    rows = [[*row[:3], row[3].ljust(widest), textwrap.shorten(row[4], 60, placeholder="...")] for row in rows]
    header = ["model", "M parameters", "GFLOPs at 512x512", "licence of weights".ljust(widest), "source".ljust(60)]
    return columns(header, [[*row[:4], row[4].ljust(60)] for row in rows])
