"""Tables of an assay: the ranking, the heat map, every series in numbers, and what was done to the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from anyscope.assay.conditions import TRANSFER, UNIVERSAL, WORST, Condition
from anyscope.assay.degrade import attack_of
from anyscope.assay.scores import UNDERTRAINED, AssayScores
from anyscope.assay.statistics import interval
from anyscope.assay.tally import NAMES
from anyscope.attacks import ATTACKS
from anyscope.attacks.universal import Universal
from anyscope.corruptions import CORRUPTIONS
from anyscope.reports.assay_figures import ranking_order
from anyscope.reports.blocks import Cell, DataTable, Facts, HeatMap
from anyscope.reports.numbers import plain, score
from anyscope.reports.shading import shade

_WIDEST_MAP = 20
"""Columns of one heat map: as many as stand side by side on paper."""

ATTACK_FAMILIES = ("attack", "black-box", TRANSFER, UNIVERSAL, "ensemble", "control")
"""Attacks by what they know of a network, in the order of tables."""
_WORST = "of every image the worst attack of the size, chosen for the lowest pooled score"

Numbers = NDArray[np.float64]


def ranking_table(scores: AssayScores) -> DataTable:
    """One row for each model, the best first; columns that nothing was measured for are left out."""
    corruptions, attacks = scores.names("corruption"), scores.names("attack")
    columns = ["Rank", "Model", "Clean"]
    columns += ["Mean corrupted", "Mean CD", "Worst corruption"] if corruptions else []
    columns += ["Mean attacked", "Rank, attacked"] if attacks else []
    columns += ["Other data"] if scores.shifts else []
    low, high = interval(scores.mean_over(corruptions, scores.draws))
    rows = []
    for m in ranking_order(scores):
        ranks = scores.ranks if corruptions else np.zeros(len(scores.models), np.int64)
        row: list[str | float | Cell | None] = [_rank(ranks, m), scores.models[m], _value(scores.clean[m])]
        if corruptions:
            condition = scores.worst[1][m]
            span = f", {score(low[m])} to {score(high[m])}" if np.isfinite(low[m]) else ""
            row += [
                _with_ratio(scores.corrupted[m], scores.clean[m], span),
                _value(scores.mean_degradation[m]),
                Cell(score(scores.worst[0][m]), _value(scores.worst[0][m]), "" if condition is None else condition.key),
            ]
        if attacks:
            row += [_with_ratio(scores.attacked[m], scores.clean[m]), _rank(scores.attack_ranks, m)]
        if scores.shifts:
            row.append(_with_ratio(scores.shifted[m], scores.clean[m]))
        rows.append(tuple(row))
    images = len(scores.tally.images)
    caption = f"{NAMES[scores.tally.measure]}, pooled over {images} image{'' if images == 1 else 's'}"
    if corruptions:
        caption += (
            f". Beneath: what is left of the clean score, and 95 % intervals. CD is relative to {scores.reference}"
        )
    return DataTable(caption, tuple(columns), tuple(rows))


def _rank(ranks: NDArray[np.int64], model: int) -> Cell:
    """The rank, with a sign where others have the same; a dash where the model is not ranked."""
    own = int(ranks[model])
    tied = " =" if (ranks == own).sum() > 1 else ""
    return Cell(f"{own}{tied}", own) if own else Cell("\N{EN DASH}")


def _value(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _with_ratio(value: float, clean: float, more: str = "") -> Cell:
    """A score, and beneath it what that is of the clean one."""
    if not np.isfinite(value):
        return Cell("\N{EN DASH}")
    ratio = f"{100 * value / clean:.0f} %" if clean > 0 else "\N{EN DASH}"
    return Cell(score(value), float(value), ratio + more)


def _percent(value: float) -> Cell:
    return Cell(f"{100 * value:.0f} %", float(value)) if np.isfinite(value) else Cell("\N{EN DASH}")


def heat_maps(scores: AssayScores) -> tuple[HeatMap, ...]:
    """Scores of models (rows, by rank) under series (columns, by family), each the mean over its levels.

    Series that do not fit beside each other go into a second map, which begins with the clean scores again.
    """
    order = ranking_order(scores)
    columns = [(group[0].family, name, scores.mean_over([name])) for name, group in scores.series.items()]
    families = list(dict.fromkeys(family for family, _, _ in columns))
    families.sort(key=lambda family: ATTACK_FAMILIES.index(family) if family in ATTACK_FAMILIES else -1)
    columns.sort(key=lambda column: families.index(column[0]))
    columns += [("other data", name, one.pooled()[:, 0]) for name, one in scores.shifts.items()]
    first = [("", "clean", scores.clean)]
    if scores.names("corruption"):
        first.append(("", "mean corrupted", scores.corrupted))
    number = max(1, -(-len(columns) // _WIDEST_MAP))
    width = -(-len(columns) // number) if columns else 0
    maps = []
    for part in range(number):
        shown = [*first, *columns[part * width : (part + 1) * width]]
        groups = [(title, sum(other == title for other, _, _ in shown)) for title in dict.fromkeys(c[0] for c in shown)]
        rows = tuple((scores.models[m], tuple(shade(values[m]) for _, _, values in shown)) for m in order)
        caption = f"{NAMES[scores.tally.measure]}, mean over severities or epsilons"
        if number > 1:
            caption += f" ({part + 1} of {number})"
        scale = tuple(step for value in np.linspace(0, 1, 11) if (step := shade(float(value))) is not None)
        names = tuple(name for _, name, _ in shown)
        maps.append(HeatMap(caption, tuple(groups), names, rows, scale if part == number - 1 else ()))
    return tuple(maps)


def series_table(scores: AssayScores) -> DataTable:
    """Every model under every corruption and attack: the numbers behind heat map and curves."""
    columns = ("Model", "Series", "Mean", "Of clean", "Area under curve", "CD", "rCD")
    rows: list[tuple[str | float | Cell | None, ...]] = []
    for name, group in scores.series.items():
        mean, area = scores.mean_over([name]), scores.area(name)
        nothing = np.full(len(scores.models), np.nan)
        corruption = group[0].kind == "corruption"
        cd = scores.corruption_degradation(name) if corruption else nothing
        rcd = scores.relative_degradation(name) if corruption else nothing
        for m in ranking_order(scores):
            left = mean[m] / scores.clean[m] if scores.clean[m] else np.nan
            numbers = (_value(area[m]), _value(cd[m]), _value(rcd[m]))
            rows.append((scores.models[m], name, _value(mean[m]), _percent(left), *numbers))
    caption = f"{NAMES[scores.tally.measure]} of every model under every corruption and attack"
    return DataTable(caption, columns, tuple(rows), collapsed=True)


def level_table(scores: AssayScores) -> DataTable:
    """The parameters of the corruptions that were used, at their five severities."""
    rows: list[tuple[str | float | Cell | None, ...]] = []
    for name in scores.names("corruption"):
        kind = CORRUPTIONS[name]
        for number, (parameter, values) in enumerate(kind.levels.items()):
            about = (kind.summary, kind.source) if number == 0 else ("", "")
            rows.append((name, *about, parameter, *(Cell(f"{value:g}", value) for value in values)))
    columns = ("Corruption", "What happens", "Source", "Parameter", "1", "2", "3", "4", "5")
    return DataTable("Corruptions and their parameters at severities 1 to 5", columns, tuple(rows), collapsed=True)


def attack_table(scores: AssayScores, steps: int | None) -> DataTable:
    """The attacks that were used and their parameters at each epsilon."""
    rows: list[tuple[str | float | Cell | None, ...]] = []
    for name in [name for family in ATTACK_FAMILIES for name in scores.names(family)]:
        group = scores.series[name]
        levels = ", ".join(f"{condition.level:g}" for condition in group)
        rows.append((name, *_about(group[0]), group[0].norm, levels, _parameters(group, steps)))
    columns = ("Attack", "What it does", "Source", "Norm", "Epsilons, grey levels", "Parameters")
    return DataTable("Attacks and their parameters", columns, tuple(rows), collapsed=True)


def _about(condition: Condition) -> tuple[str, str]:
    """What an attack does, and where it comes from."""
    if condition.name == WORST:
        return _WORST, "as SEA, Croce, Singh, Hein, ECCV 2024"
    if condition.name == TRANSFER:
        return f"APGD made for {condition.of}, shown to all", "Papernot et al., 2016, arXiv 1605.07277"
    kind = Universal if condition.name == UNIVERSAL else ATTACKS[condition.name]
    return kind.summary, kind.source


def _parameters(group: Sequence[Condition], steps: int | None) -> str:
    """Parameters other than size and norm; a range where they change with epsilon."""
    if group[0].name == WORST:
        return "none"
    if group[0].name == UNIVERSAL:
        method = Universal(0.0, steps=group[0].steps or steps)
        return f"steps {method.resolved_steps}, edge {method.edge_px} pixels"
    attacks = [attack_of(condition, 1, steps) for condition in group]
    parts = []
    for name in (field.name for field in fields(attacks[0])):
        if name in ("epsilon", "norm"):
            continue
        # Where a parameter follows a rule, the value that was used says more than that it was left open.
        used = [getattr(attack, f"resolved_{name}", getattr(attack, name)) for attack in attacks]
        grey = [f"{255 * value:.3g}/255" if name == "step_size" else plain(value) for value in used]
        values = list(dict.fromkeys(grey))
        parts.append(f"{name.replace('_', ' ')} {values[0]}" + (f" to {values[-1]}" if len(values) > 1 else ""))
    return ", ".join(parts) or "none"


def definitions(scores: AssayScores) -> Facts:
    """What the numbers of the page mean."""
    measure = NAMES[scores.tally.measure]
    entries = {
        "score": f"{measure}: true positives over the sum of true positives, false positives and false negatives, "
        "counts summed over all images first (pooled); with several classes the mean over those that occur",
        "severity": "1 to 5, of a corruption with the parameters listed above; 0 is clean",
        "epsilon": "largest change of a pixel in grey levels of 255; with l2 the root mean square over the pixels. "
        "Attacked images are rounded to 8 bits before they are scored",
        "mean corrupted": "mean over corruptions of the mean over severities; what models are ranked by",
        "mean attacked": "mean over the attacks by gradient of the mean over epsilons",
        "worst": "of every image the worst attack of one size and norm, noise included; another attack is taken for an "
        "image wherever that lowers the pooled score (greedy, in shuffled passes)",
        "of clean": "the score over the clean one: how much is left",
        "CD": f"sum over severities of 1 - score, over the same of {scores.reference} (Kamann, Rother, CVPR 2020); "
        "below 1 is better; mean CD is its mean over corruptions, as mCE (Hendrycks, Dietterich, ICLR 2019)",
        "rCD": f"the same of clean score - score: what is lost, relative to what {scores.reference} loses",
        "area under curve": "area under score against severity or epsilon from clean to the largest, over its width",
        "rank": "1 plus the number of models that are better beyond chance: the 95 % interval of the paired difference "
        "over resampled images lies above 0. Equal ranks (=) are not told apart by these images",
        "not ranked": f"models with missing cells, and those more than {UNDERTRAINED:g} below the best clean score",
        "interval": "95 % percentile interval over 1000 bootstrap samples of the images, the same for all models",
        "geometry": "where a corruption moves pixels, the reference moves with them; destroyed pixels do not count",
        "other data": "images of other datasets as they are",
    }
    return Facts.of("What the numbers mean", entries)
