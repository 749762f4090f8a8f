"""Tables of strong attacks: what each kind of knowledge leaves, the worst case, and who is hurt by whose attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from anyscope.assay.conditions import TRANSFER, UNIVERSAL, WORST, Condition
from anyscope.assay.gains import Gain
from anyscope.assay.scores import AssayScores
from anyscope.assay.tally import NAMES
from anyscope.assay.worst_case import mean_overlap, members, worst_of_each
from anyscope.reports.assay_figures import ranking_order
from anyscope.reports.blocks import Block, Cell, DataTable, HeatMap
from anyscope.reports.numbers import score
from anyscope.reports.shading import shade

_KINDS = (("attack", "By gradient"), ("black-box", "Without gradients"), (TRANSFER, "Made for others"),
          (UNIVERSAL, "Universal"), ("control", "Noise"))  # fmt: skip


def strong_blocks(scores: AssayScores, learned: Sequence[Mapping[str, object]]) -> list[Block]:
    """The tables for which there are numbers.

    Args:
        scores: Those of the masks.
        learned: Records of universal perturbations, as for :func:`universal_table`.
    """
    blocks: list[Block] = []
    if scores.names("ensemble"):
        blocks.append(worst_table(scores))
    blocks += transfer_maps(scores)
    if learned:
        blocks.append(universal_table(learned))
    return blocks


def worst_table(scores: AssayScores) -> DataTable:
    """For every model and size the strongest attack of each kind, and the worst of all."""
    rows: list[tuple[str | float | Cell | None, ...]] = []
    worst = [c for c in scores.conditions if c.name == WORST and c.kind == "attack"]
    ensembles = worst or [c for c in scores.conditions if c.derived]
    sea = any(c.name == "sea" and c.derived for c in scores.conditions)
    kinds = [(family, title) for family, title in _KINDS if any(c.family == family for c in scores.conditions)]
    for m in ranking_order(scores):
        for whole in ensembles:
            if not np.isfinite(scores.of(whole)[m]):
                continue
            same = [c for c in scores.conditions if (c.level, c.norm) == (whole.level, whole.norm)]
            cells = [_strongest(scores, m, [c for c in same if c.family == family]) for family, _ in kinds]
            ensemble = [_strongest(scores, m, [c for c in same if c.name == "sea"])] if sea else []
            size = f"{whole.level:g}" + (", l2" if whole.norm == "l2" else "")
            pooled, each = float(scores.of(whole)[m]), _mean_of_worst(scores, m, whole)
            rows.append(
                (scores.models[m], Cell(size, whole.level), float(scores.clean[m]), *cells, *ensemble, pooled, each)
            )
    columns = ["Model", "Epsilon", "Clean", *(title for _, title in kinds), *(["SEA"] if sea else [])]
    caption = (
        f"{NAMES[scores.tally.measure]} under the strongest attack of each kind, and of every image the worst: chosen "
        "for the lowest pooled score, and image by image (mean over images)"
    )
    return DataTable(caption, (*columns, "Worst, pooled", "Worst, mean of images"), tuple(rows))


def _strongest(scores: AssayScores, model: int, group: Sequence[Condition]) -> Cell:
    """The lowest score of a group, and beneath it under what; attacks made for the model itself are no transfer."""
    known = {
        condition: float(scores.of(condition)[model])
        for condition in group
        if condition.of != scores.models[model] and np.isfinite(scores.of(condition)[model])
    }
    if not known:
        return Cell("\N{EN DASH}")
    lowest = min(known, key=lambda condition: known[condition])
    return Cell(score(known[lowest]), known[lowest], lowest.series)


def _mean_of_worst(scores: AssayScores, model: int, ensemble: Condition) -> float | None:
    """Mean over images of the lowest score under any member."""
    counts = scores.tally.counts[model]
    of = [place for place in members(ensemble, scores.conditions) if np.isfinite(counts[place]).all()]
    if not of:
        return None
    chosen = worst_of_each(counts[of])
    values = mean_overlap(counts[of][chosen, np.arange(counts.shape[1])])
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def transfer_maps(scores: AssayScores) -> list[HeatMap]:
    """For every size, which model (rows) is hurt by attacks made for which (columns). Down the diagonal each is its own
    adversary."""
    sizes = dict.fromkeys((c.level, c.norm) for c in scores.conditions if c.family == TRANSFER)
    maps = []
    for number, (level, norm) in enumerate(sizes):
        group = [c for c in scores.conditions if c.family == TRANSFER and (c.level, c.norm) == (level, norm)]
        rows = []
        for m in ranking_order(scores):
            values = [float(scores.of(c)[m]) for c in group]
            if np.isfinite(values).any():
                rows.append((scores.models[m], (shade(float(scores.clean[m])), *(shade(value) for value in values))))
        columns = ("clean", *(c.of for c in group))
        measure = NAMES[scores.tally.measure]
        caption = f"{measure} of the models (rows) under APGD made for others (columns), epsilon {level:g}"
        caption += ", l2" if norm == "l2" else ""
        scale = tuple(step for value in np.linspace(0, 1, 11) if (step := shade(float(value))) is not None)
        titles = (("", 1), ("made for", len(group)))
        maps.append(HeatMap(caption, titles, columns, tuple(rows), scale if number == len(sizes) - 1 else ()))
    return maps


def universal_table(learned: Sequence[Mapping[str, object]]) -> DataTable:
    """How universal perturbations were learned.

    Args:
        learned: Records with ``model``, ``condition``, ``images`` (a number), ``part``, ``steps``, and the means
            ``first`` and ``last`` of the loss over ten steps.
    """
    names = ("model", "condition", "part", "images", "steps", "first", "last")
    rows = tuple(tuple(_plain(record[name]) for name in names) for record in learned)
    columns = ("Model", "Condition", "Learned on part", "Images", "Steps", "Loss, first steps", "Loss, last steps")
    caption = "Universal perturbations: Jensen-Shannon divergence while they were learned, 0 to 0.693"
    return DataTable(caption, columns, rows, collapsed=True)


def gain_table(gains: Sequence[Gain]) -> DataTable:
    """Standard and robust training of the same networks, side by side, with the difference and its interval."""
    networks = {one.network for one in gains}
    rows = []
    for one in gains:
        span = f"{one.low:+.3f} to {one.high:+.3f}{'' if one.tells else ', within chance'}"
        under = f"{one.under}: {one.conditions} condition{'' if one.conditions == 1 else 's'}"
        difference = Cell(f"{one.difference:+.3f}", one.difference, span)
        runs = f"{one.runs[0]} and {one.runs[1]}"
        row = (one.network, one.robust, under, one.standard, one.hardened, difference, runs)
        rows.append(row if len(networks) > 1 else row[1:])
    columns = ("Network and budget", "Robust training", "Under", "Standard", "Robust", "Difference", "Runs")
    caption = "Beneath a difference: its 95 % interval over images and runs drawn anew, the same images for both"
    if len(networks) == 1:
        return DataTable(f"{networks.pop()}. {caption}", columns[1:], tuple(rows))
    return DataTable(caption, columns, tuple(rows))


def _plain(value: object) -> str | float | Cell:
    if isinstance(value, int):
        return Cell(f"{value}", value)
    return float(value) if isinstance(value, float) else str(value)
