"""Results as plain text tables for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyscope.crossings.summary import Recovery
    from anyscope.models.description import ModelDescription
    from anyscope.workflows.conditions import ConditionDescription
    from anyscope.workflows.cross import CrossResult
    from anyscope.workflows.methods import MethodDescription
    from anyscope.workflows.stress import StressResult

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


def conditions_table(conditions: Sequence[ConditionDescription], *, whole: bool) -> str:
    """Corruptions and attacks, a line each, or one with its parameters."""
    if not whole:
        return columns(["name", "family", "what it does"], [[c.name, c.family, c.summary] for c in conditions], 3)
    one = conditions[0]
    head = [f"{one.name} ({one.family}): {one.summary}", f"source: {one.source}"]
    if one.family not in ("fluorescence", "electron", "digital"):
        return "\n".join([*head, *(f"{key}: {value}" for key, value in one.parameters.items())])
    rows = [[key, *(f"{value:g}" for value in values)] for key, values in one.parameters.items()]
    stack = ["the planes of a stack are corrupted together"] if one.along_stack else []
    return "\n".join([*head, *stack, columns(["severity", "1", "2", "3", "4", "5"], rows)])


def methods_table(methods: Sequence[MethodDescription], *, whole: bool) -> str:
    """Steps of adaptation and rules of selection, a line each, or one with its parameters by profile."""
    if not whole:
        rows = [[one.name, one.stage, textwrap.shorten(one.summary, 80, placeholder=" ...")] for one in methods]
        return columns(["name", "stage", "what it does"], rows, 3)
    one = methods[0]
    head = [f"{one.name} ({one.stage}): {one.summary}"] + ([f"source: {one.source}"] if one.source else [])
    if not one.parameters:
        return "\n".join(head)
    profiles = list(next(iter(one.parameters.values())))
    rows = [[key, *(str(value) for value in values.values())] for key, values in one.parameters.items()]
    return "\n".join([*head, columns(["parameter", *profiles], rows, 1)])


def grid_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The runs of a grid, one line each."""
    tests = [
        name for name in ("test_foreground_iou", "test_mean_iou", "test_accuracy_50") if any(name in r for r in rows)
    ]
    shown = ["validation", *tests[:2], "best_epoch", "seconds"]
    lines = [
        [row["data"], row["model"], row["seed"], *(_cell(row.get(name)) for name in shown), row.get("failure", "")]
        for row in rows
    ]
    return columns(["data", "model", "seed", *(name.replace("_", " ") for name in shown), ""], lines, text_columns=3)


def stress_table(result: StressResult) -> str:
    """An assay: one line a model, absolute scores beside ratios, and the recommendation in words."""
    from anyscope.assay.tables import score_rows
    from anyscope.assay.tally import NAMES

    parts = []
    for scores in (result.scores, result.objects):
        if scores is None:
            continue
        rows = score_rows(scores)
        names = {
            "rank": "rank", "clean": "clean", "corrupted": "corrupted", "corrupted_over_clean": "/ clean",
            "mean_cd": "mean CD", "worst": "worst", "attacked": "attacked", "attacked_over_clean": "/ clean",
            "attack_rank": "rank", "shifted": "other data",
        }  # fmt: skip
        shown = [name for name in names if any(row[name] is not None for row in rows)]
        order = sorted(rows, key=lambda row: (row["rank"] or len(rows) + 1, -(row["corrupted"] or row["clean"] or 0)))
        lines = [[row["model"], *(_cell(row[name]) for name in shown)] for row in order]
        title = f"{NAMES[scores.tally.measure]}, pooled over {len(scores.tally.images)} image(s)"
        parts.append(title + "\n" + columns(["model", *(names[name] for name in shown)], lines))
    if result.gains:
        parts.append(
            "Robust training beside standard training (mean IoU, difference with its 95 % interval)\n" + _gains(result)
        )
    sentences = [result.findings.recommendation, *result.findings.remarks]
    parts.append("\n".join(textwrap.fill(sentence, _WIDTH) for sentence in sentences))
    return "\n\n".join(parts)


def _gains(result: StressResult) -> str:
    lines = [
        [
            gain.network, gain.robust, gain.under, f"{gain.standard:.3f}", f"{gain.hardened:.3f}",
            f"{gain.difference:+.3f}", f"{gain.low:+.3f} .. {gain.high:+.3f}",
        ]
        for gain in result.gains
    ]  # fmt: skip
    several = len({gain.network for gain in result.gains}) > 1
    head = ["network", "robust", "under", "standard", "robust", "gain", ""]
    rows = [head, *lines] if several else [each[1:] for each in [head, *lines]]
    return columns(rows[0], rows[1:], 3 if several else 2)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def stress_json(result: StressResult) -> dict[str, Any]:
    """An assay as plain data: scores of each model and of each cell of the heat map, findings, correlations."""
    from anyscope.assay.tables import score_rows
    from anyscope.assay.tally import NAMES

    document: dict[str, Any] = {"out": str(result.out), "report": str(result.report), "cells": result.cells}
    document["gains"] = [asdict(gain) for gain in result.gains]
    for measure, scores in (("mask", result.scores), ("objects", result.objects)):
        if scores is None:
            continue
        low, high = scores.intervals
        document[measure] = {
            "score": NAMES[scores.tally.measure],
            "models": score_rows(scores),
            "conditions": [
                {
                    "model": model,
                    "condition": condition.key,
                    "score": _plain(scores.pooled[m, c]),
                    "interval": [_plain(low[m, c]), _plain(high[m, c])],
                    "mean": _plain(scores.per_image_mean[m, c]),
                }
                for m, model in enumerate(scores.models)
                for c, condition in enumerate(scores.conditions)
            ],
            "shares_of_variance": scores.shares,
        }
        for name in ("corruption_and_attack", "synthetic_and_real"):
            found = getattr(scores, name)
            document[measure][name] = None if found is None else {k: _plain(v) for k, v in vars(found).items()}
    findings = result.findings
    document["findings"] = [findings.recommendation, *findings.remarks]
    document["trusted"] = list(findings.trusted)
    return document


def _plain(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def adaptation_table(document: Mapping[str, Any]) -> str:
    """An adaptation: what each rule chose in each step, and what to look out for."""
    lines = [f"method {document['method']}, profile {document['profile']}, {document['pixels']}"]
    for step in document["steps"]:
        found = step["findings"]
        if step["stage"] == "polarity":
            lines.append(f"{step['name']}: the target is seen {'inverted' if found['inverted'] else 'as it is'}")
        if step["stage"] == "scale":
            lines.append(
                f"{step['name']}: the target is seen at {found['zoom'] / found['nominal']:.2f} times its scale"
            )
        if not step["choices"]:
            continue
        rows = []
        for name, choice in step["choices"].items():
            mark = " *" if name == document["selection"] else ""
            chosen = step["candidates"][choice["index"]]
            target = chosen["target"]
            rows.append(
                [
                    name + mark,
                    str(choice["epoch"]),
                    _number(chosen["source_score"]),
                    f"{target['foreground_px'] / max(target['pixels'], 1):.1%}",
                    str(target["objects"]),
                    _number(chosen["stability"]),
                ]
            )
        lines.append(f"{step['name']}: {len(step['candidates'])} candidates")
        lines.append(columns(["rule", "epoch", "source score", "target foreground", "objects", "stability"], rows))
    if document["left_out"]:
        lines.append(f"left out, since no gap shows: {', '.join(document['left_out'])}")
    lines += [f"! {alarm}" for alarm in document["alarms"]]
    return "\n".join(lines)


def crossing_table(result: CrossResult, measure: str = "pooled") -> str:
    """A crossing: the score of each method on each pair by the default selection, and what it recovered."""
    summary, rule = result.summary, result.selection
    chosen = [one for one in summary.scores if one.measure == measure and one.rule == rule]
    pairs = list(dict.fromkeys((one.source, one.target) for one in chosen))
    methods = list(dict.fromkeys(one.method for one in chosen))
    found = {(one.source, one.target, one.method): one for one in chosen}
    rows = []
    for method in methods:
        cells = [found.get((*pair, method)) for pair in pairs]
        rows.append([method, *("-" if one is None else _spread(one.mean, one.deviation) for one in cells)])
    lines = [f"{measure} score by selection {rule}"]
    lines.append(columns(["method", *(f"{source} -> {target}" for source, target in pairs)], rows))
    listed = [one for one in summary.recoveries if one.measure == measure and one.rule == rule]
    if listed:
        header = ["method", "recovered gap", "pairs", "worst gain", "where", "regret"]
        lines += ["", columns(header, [_recovery_row(one) for one in listed])]
    return "\n".join(lines)


def _recovery_row(one: Recovery) -> list[str]:
    recovered = "-" if one.recovered is None else f"{one.recovered:.0%}"
    return [one.method, recovered, str(one.pairs), f"{one.worst:+.3f}", one.worst_pair, f"{one.regret:.3f}"]


def _spread(mean: float, deviation: float | None) -> str:
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"
