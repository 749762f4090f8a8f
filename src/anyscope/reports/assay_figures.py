"""Figures of an assay: models with intervals, curves over severity and epsilon, correlations, shares of variance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anyscope.assay.conditions import CLEAN, CONTROL, Condition
from anyscope.assay.plan import BASELINE
from anyscope.assay.scores import AssayScores
from anyscope.assay.statistics import interval
from anyscope.assay.tally import NAMES
from anyscope.reports.drawing import INK, MUTED, SERIES, LineStyle, Plot, clean, line_styles, panel, style, svg
from anyscope.reports.numbers import score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BANDS_UP_TO = 4
"""So many models can have a band around their line before the bands hide the lines."""

_BARS = 12

Numbers = NDArray[np.float64]


def ranking_order(scores: AssayScores) -> list[int]:
    """All models: the ranked ones by mean corrupted score (by the clean one without corruptions), the others after."""
    by = scores.corrupted if scores.names("corruption") else scores.clean
    worth = np.where(np.isfinite(by), by, -1.0)
    return sorted(range(len(scores.models)), key=lambda model: (not scores.eligible[model], -worth[model], model))


def model_styles(scores: AssayScores) -> dict[str, LineStyle]:
    """A line style for each model, the same in all figures, in the order of the ranking; the baseline is grey."""
    names = [scores.models[model] for model in ranking_order(scores)]
    networks = [name for name in names if name != BASELINE]
    styles = dict(zip(networks, line_styles(len(networks)), strict=True))
    styles[BASELINE] = LineStyle(MUTED, (1.1, 1.3), "v", 1.4)
    return {name: styles[name] for name in names}


def ranking_plot(scores: AssayScores) -> Plot:
    """Every model on a line: clean, mean corrupted with its interval, worst corruption, mean attacked."""
    from matplotlib.transforms import blended_transform_factory

    order = ranking_order(scores)
    corruptions, attacks = scores.names("corruption"), scores.names("attack")
    place = np.arange(len(order))
    height = 1.15 + 0.3 * len(order)
    with style():
        figure, axes = panel("", "", (7.4, height))
        # Long names move the axes to the right; title and legend stay at the left border of the figure.
        title = f"{NAMES[scores.tally.measure]}, with 95 % intervals of the means"
        axes.annotate(title, (0.012, 1), (0, 26), ("figure fraction", "axes fraction"), "offset points",
                      fontsize=11.5, fontweight="bold")  # fmt: skip
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.hlines(place, 0, 1, color=MUTED, linewidth=0.5, alpha=0.35)
        spans: list[tuple[str, str, str, Numbers, tuple[Numbers, Numbers] | None]]
        spans = [("clean", "o", "none", scores.clean[order], None)]
        if corruptions:
            span = interval(scores.mean_over(corruptions, scores.draws))
            spans.append(("mean corrupted", "o", SERIES[0], scores.corrupted[order], span))
            spans.append(("worst corruption", "x", SERIES[1], scores.worst[0][order], None))
        if attacks:
            span = interval(scores.mean_over(attacks, scores.draws))
            spans.append(("mean attacked", "^", SERIES[3], scores.attacked[order], span))
        for label, marker, colour, values, ends in spans:
            if ends is not None:
                axes.hlines(place, ends[0][order], ends[1][order], color=colour, linewidth=4, alpha=0.35)
            edge = INK if colour == "none" else colour
            axes.plot(
                values, place, marker, color=edge, markerfacecolor=colour, markersize=6, label=label, clip_on=False
            )
        axes.set_yticks(place, [clean(_name(scores, model)) for model in order])
        axes.tick_params(axis="y", labelcolor=INK, pad=8)
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        legend = axes.legend(loc="lower left", bbox_to_anchor=(0.0, 0.995), ncols=4, borderaxespad=0,
                             bbox_transform=blended_transform_factory(figure.transFigure, axes.transAxes),
                             columnspacing=1.0, handletextpad=0.2)  # fmt: skip
        legend.set_in_layout(False)  # otherwise the axes shrink to its width
        listed = "; ".join(
            f"{scores.models[model]} {score(scores.clean[model])} clean, {score(scores.corrupted[model])} corrupted"
            for model in order
        )
        return Plot(svg(figure), f"{NAMES[scores.tally.measure]} by model: {listed}.")


def _name(scores: AssayScores, model: int) -> str:
    return scores.models[model] if scores.eligible[model] else f"{scores.models[model]} (not ranked)"


def severity_curves(scores: AssayScores) -> dict[str, Plot]:
    """One panel for each corruption by name: score against severity, a line for each model, 0 is clean."""
    styles = model_styles(scores)
    return {name: _curves(scores, name, styles) for name in scores.names("corruption")}


def attack_curves(scores: AssayScores) -> dict[str, Plot]:
    """One panel for each attack by series: score against epsilon in grey levels; the random control is dashed."""
    styles = model_styles(scores)
    return {name: _curves(scores, name, styles) for name in scores.names("attack")}


def _curves(scores: AssayScores, name: str, styles: Mapping[str, LineStyle]) -> Plot:
    group = scores.series[name]
    attack = group[0].kind == "attack"
    levels = [0.0, *(condition.level for condition in group)]
    with style():
        label = "epsilon, grey levels" if attack else "severity"
        figure, axes = panel(clean(name), label, (3.3, 2.35), None)
        figure.subplots_adjust(0.115, 0.19, 0.975, 0.88)
        axes.set_title(clean(name), pad=8, fontsize=11)
        x = _axis(axes, levels, attack)
        places = [scores.conditions.index(condition) for condition in (CLEAN, *group)]
        bands = len(scores.models) <= _BANDS_UP_TO
        ends = []
        for model, line in reversed([(scores.models.index(model), line) for model, line in styles.items()]):
            values = scores.pooled[model, places]
            if not np.isfinite(values[1:]).any():
                continue
            if bands:
                low, high = scores.intervals[0][model, places], scores.intervals[1][model, places]
                axes.fill_between(x, low, high, color=line.colour, alpha=0.13, linewidth=0)
            axes.plot(x, values, color=line.colour, linestyle=line.linestyle, linewidth=line.width_pt,
                      marker=line.marker, markersize=2 * line.width_pt, markeredgewidth=0, clip_on=False)  # fmt: skip
            ends.append(f"{scores.models[model]} {score(values[0])} to {score(values[-1])}")
        if attack:
            _control(axes, scores, group)
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", ".5", "", "1"])
        return Plot(svg(figure), f"{name}, from clean to {label} {levels[-1]:g}: {'; '.join(reversed(ends))}.")


def _axis(axes: Axes, levels: Sequence[float], attack: bool) -> list[float]:
    """Positions of the levels; sizes of attacks are spaced by their logarithm, so that small ones can be told apart."""
    x = [float(np.log2(1 + level)) if attack else level for level in levels]
    axes.set_xticks(x, ["clean" if level == 0 else f"{level:g}" for level in levels])
    axes.set_xlim(x[0], x[-1] + 0.02 * (x[-1] - x[0]))
    return x


def _control(axes: Axes, scores: AssayScores, group: Sequence[Condition]) -> None:
    """The mean over the models of the score under random noise of the same sizes."""
    control = [Condition("attack", CONTROL, condition.level, condition.norm) for condition in group]
    if not all(condition in scores.conditions for condition in control):
        return
    places = [scores.conditions.index(condition) for condition in (CLEAN, *control)]
    values = scores.pooled[:, places]
    known = np.isfinite(values).all(axis=1)
    if known.any():
        x = [float(np.log2(1 + level)) for level in (0.0, *(condition.level for condition in group))]
        axes.plot(x, values[known].mean(axis=0), color=INK, linestyle=(0, (5, 3)), linewidth=1.1)


def scatter(
    scores: AssayScores, first: tuple[str, Numbers], second: tuple[str, Numbers], title: str = "What is left"
) -> Plot:
    """Two values of every model against each other, with their names.

    Args:
        scores: The assay, for names and colours.
        first, second: Label of the axis, and values (models,); models without either are left out.
        title: Heading.
    """
    styles = model_styles(scores)
    known = [m for m in ranking_order(scores) if np.isfinite(first[1][m]) and np.isfinite(second[1][m])]
    with style():
        figure, axes = panel(title, first[0], (5.6, 4.3), None)
        figure.subplots_adjust(0.12, 0.13, 0.965, 0.9)
        axes.set_title(title, pad=10)
        axes.grid(visible=True, axis="both")
        axes.set_ylabel(second[0], fontsize=10)
        x, y = first[1][known], second[1][known]
        for values, limit in ((x, axes.set_xlim), (y, axes.set_ylim)):
            margin = max(0.03, 0.12 * float(np.ptp(values)) if len(known) else 1.0)
            limit(values.min(initial=1.0) - margin, values.max(initial=0.0) + margin)
        for number, model in enumerate(known):
            line = styles[scores.models[model]]
            axes.plot(x[number], y[number], line.marker, color=line.colour, markersize=6, clip_on=False)
        _labels(axes, x, y, [clean(scores.models[model]) for model in known])
        listed = "; ".join(
            f"{scores.models[model]} {score(a)} and {score(b)}" for model, a, b in zip(known, x, y, strict=True)
        )
        return Plot(svg(figure), f"{first[0]} and {second[0]}: {listed}.")


def _labels(axes: Axes, x: Numbers, y: Numbers, names: Sequence[str]) -> None:
    """Names beside their points, each where it hides the least of points and of names that are there already."""
    scale = axes.figure.dpi / 72  # everything in points, as the offsets of annotations are
    points = axes.transData.transform(np.column_stack([x, y])) / scale
    left, low, right, top = (float(value) / scale for value in axes.bbox.extents)
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in points]
    for (px, py), at, name in zip(points, zip(x, y, strict=True), names, strict=True):
        width, height = 5.6 * len(name), 11.0
        options = []
        for dy in (0, 9, -9, 18, -18, 27, -27):
            for sign in (1, -1):
                start = px + 7 if sign > 0 else px - 7 - width
                middle = py + dy
                box = (start, middle - height / 2, start + width, middle + height / 2)
                outside = max(0, left - box[0]) + max(0, box[2] - right) + max(0, low - box[1]) + max(0, box[3] - top)
                cost = sum(_overlap(box, other) for other in taken) + 50 * outside + 3 * abs(dy) + (sign < 0)
                options.append((cost, dy, sign, box))
        _, dy, sign, box = min(options)
        taken.append(box)
        axes.annotate(name, at, (7 * sign, dy), "data", "offset points", ha="left" if sign > 0 else "right",
                      va="center", fontsize=9.5, color=INK)  # fmt: skip


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, width) * max(0.0, height)


def share_bars(shares: Mapping[str, float], title: str) -> Plot:
    """Shares of a whole as bars, the largest first; negative ones to the left, all but the first twelve as one.

    Args:
        shares: Finite fractions by name; not empty.
        title: Heading.
    """
    order = sorted(shares, key=lambda name: -shares[name])
    values = [100 * shares[name] for name in order]
    if len(order) > _BARS + 1:
        rest = f"{len(order) - _BARS} others"
        order, values = [*order[:_BARS], rest], [*values[:_BARS], sum(values[_BARS:])]
    place = np.arange(len(order))
    with style():
        figure, axes = panel(title, "% of the variance between models", (5.6, 1.0 + 0.24 * len(order)))
        axes.set_title(title, pad=10)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.barh(place, values, color=SERIES[0], height=0.62)
        low, high = min([*values, 0.0]), max([*values, 0.0])
        span = high - low or 1.0
        for number, value in enumerate(values):
            axes.text(max(value, 0) + 0.012 * span, number, f"{value:.1f}", va="center", fontsize=9.5, color=INK)
        axes.set_yticks(place, [clean(name) for name in order])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.set_xlim(low - 0.02 * span, high + 0.1 * span)
        listed = ", ".join(f"{name} {value:.0f} %" for name, value in zip(order, values, strict=True))
        return Plot(svg(figure), f"{title}: {listed}.")
