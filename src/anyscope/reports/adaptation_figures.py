"""Figures of an adaptation: grey levels, the search over scales, what was known of each candidate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anyscope.adaptation.traits import Traits
from anyscope.reports.adaptation_steps import StepView
from anyscope.reports.drawing import INK, MUTED, SERIES, Plot, clean, panel, style, svg
from anyscope.reports.numbers import score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = Sequence[float | None]
_DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)))


def level_plot(levels: Mapping[str, NDArray[np.float64]], channel: int = 0) -> Plot:
    """Grey levels of one channel of the source, the target, and of what was matched, as shares of the pixels.

    Args:
        levels: Shares (c, 256) by name.
        channel: Which channel.
    """
    several = len(next(iter(levels.values()))) > 1
    with style():
        figure, axes = panel("Grey levels" + (f", channel {channel}" if several else ""), "grey level, black to white")
        colours = {"source": SERIES[0], "target": SERIES[1], "matched": SERIES[2]}
        for place, (name, shares) in enumerate(levels.items()):
            # Four levels in one: single levels are jagged where an image has fewer than 256 of them.
            shown = 100 * shares[channel].reshape(-1, 4).sum(axis=1)
            x = (np.arange(len(shown)) + 0.5) / len(shown)
            if name == "matched":
                axes.plot(x, shown, color=colours[name], linestyle=_DASHES[1], label=name, zorder=3)
                continue
            axes.fill_between(x, shown, color=colours[name], alpha=0.16, linewidth=0)
            axes.plot(x, shown, color=colours[name], linestyle=_DASHES[2 * place], label=name)
        axes.set_xlim(0, 1)
        axes.set_ylim(0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        _legend(axes)
        means = ", ".join(f"{name} {_mean_level(shares[channel]):.2f}" for name, shares in levels.items())
        return Plot(svg(figure), f"Histograms of the grey levels; mean levels of 0 to 1: {means}.")


def _mean_level(shares: NDArray[np.float64]) -> float:
    return float((shares * np.linspace(0, 1, len(shares))).sum() / max(float(shares.sum()), 1e-12))


def scale_plot(findings: Mapping[str, Any]) -> Plot:
    """The score of the rule at every zoom that was tried, relative to the nominal one."""
    nominal = findings["nominal"]
    order = np.argsort(findings["zooms"])
    factors = [findings["zooms"][index] / nominal for index in order]
    scores = [_nan(findings["scores"][index]) for index in order]
    taken = findings["zoom"] / nominal
    with style():
        figure, axes = panel(f"Search over scales by '{clean(findings['rule'])}'", "times the nominal scale")
        axes.plot(factors, scores, "o-", color=SERIES[0], markersize=4.5)
        axes.axvline(1, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=0)
        at = [value for factor, value in zip(factors, scores, strict=True) if math.isclose(factor, taken)]
        if at and math.isfinite(at[0]):
            axes.plot([taken], at[:1], "o", markersize=12, markerfacecolor="none", markeredgecolor=SERIES[1],
                      markeredgewidth=2, label=f"taken: {taken:.2f}")  # fmt: skip
            _legend(axes)
        axes.set_xscale("log", base=2)
        octaves = [math.log2(factor) for factor in factors]
        ticks = [2.0 ** round(octave) for octave in octaves if math.isclose(octave, round(octave), abs_tol=1e-6)]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.margins(y=0.12)
        known = ", ".join(f"{f:.2f}: {score(s)}" for f, s in zip(factors, scores, strict=True))
        return Plot(svg(figure), f"Score at each scale ({known}); {taken:.2f} is taken.")


def candidate_plots(step: StepView) -> tuple[Plot, ...]:
    """What was known of each candidate, over epochs: one panel for each quantity that was known of any.

    The candidate that was taken has a line through all panels, those that rules choose by a quantity a ring in its
    panel, collapsed ones a cross at the lower border.
    """
    one = step.candidates
    solidity = [_of(step, name) for name in ("solidity", "solidity-per-slice")]
    panels: list[tuple[str, list[tuple[str, Values]], tuple[str, ...]]] = [
        ("Score on source validation", [("", [each.source_score for each in one])], ("source-validation",)),
        (
            "Share of foreground",
            [
                ("target", [each.target.foreground_fraction for each in one]),
                ("source validation", [_foreground(each.source) for each in one]),
            ],
            (),
        ),
        (
            "Distance to the source's solidity",
            [("objects in 3D", solidity[0]), ("in each slice", solidity[1])],
            ("solidity", "solidity-per-slice"),
        ),
        ("Distance to the source's area ratio", [("", _of(step, "area-ratio"))], ("area-ratio",)),
        ("Combined score, lower is better", [("", _of(step, "combined"))], ("combined",)),
        (
            "Overlap of predictions of the target",
            [("with varied images", [each.stability for each in one]),
             ("with the one before", [each.agreement for each in one])],
            (),
        ),
    ]  # fmt: skip
    return tuple(
        _candidates(step, title, lines, rules)
        for title, lines, rules in panels
        if any(value is not None for _, values in lines for value in values)
    )


def _foreground(traits: Traits | None) -> float | None:
    return None if traits is None else traits.foreground_fraction


def _of(step: StepView, rule: str) -> Values:
    return step.choices[rule].scores if rule in step.choices else [None] * len(step.candidates)


def _candidates(step: StepView, title: str, lines: list[tuple[str, Values]], rules: tuple[str, ...]) -> Plot:
    from matplotlib.ticker import MaxNLocator

    epochs = [each.epoch for each in step.candidates]
    known = [(label, values) for label, values in lines if any(value is not None for value in values)]
    # Two names of the same numbers, as of solidity in single planes, are one line.
    if len(known) == 2 and list(known[0][1]) == list(known[1][1]):
        known = [("", known[0][1])]
    with style():
        figure, axes = panel(title, "epoch", (4.3, 2.7))
        for place, (label, values) in enumerate(known):
            axes.plot(epochs, [_nan(value) for value in values], color=SERIES[place], linestyle=_DASHES[place],
                      marker="o", markersize=4, label=label)  # fmt: skip
        for place, rule in enumerate(rules):
            choice = step.choices.get(rule)
            value = None if choice is None else choice.scores[choice.index]
            if choice is not None and value is not None:
                axes.plot([choice.epoch], [value], "o", markersize=11, markerfacecolor="none",
                          markeredgecolor=SERIES[min(place, len(known) - 1)], markeredgewidth=1.6)  # fmt: skip
        fallen = [epoch for epoch in epochs if epoch in step.collapsed]
        if fallen:
            axes.plot(fallen, [0.03] * len(fallen), "x", color=INK, markersize=6, markeredgewidth=1.6,
                      transform=axes.get_xaxis_transform(), clip_on=False)  # fmt: skip
        _mark_taken(axes, step)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.margins(y=0.15)
        if len(known) > 1:
            _legend(axes)
        return Plot(svg(figure), f"{title}: {_in_words(epochs, known)}.{_collapsed(fallen)}")


def _mark_taken(axes: Axes, step: StepView) -> None:
    if step.choice is not None:
        axes.axvline(step.choice.epoch, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=0)


def _in_words(epochs: Sequence[int], lines: Sequence[tuple[str, Values]]) -> str:
    parts = []
    for label, values in lines:
        known = [f"epoch {epoch} {score(value)}" for epoch, value in zip(epochs, values, strict=True)]
        parts.append((f"{label}: " if label else "") + ", ".join(known))
    return "; ".join(parts)


def _collapsed(epochs: Sequence[int]) -> str:
    return f" Collapsed: {', '.join(map(str, epochs))}." if epochs else ""


def choice_plot(step: StepView) -> Plot:
    """Which epoch each rule chooses; the rule that decided is filled, collapsed epochs are crossed."""
    from matplotlib.ticker import MaxNLocator

    rules = list(step.choices)
    epochs = [each.epoch for each in step.candidates]
    with style():
        figure, axes = panel("What each rule chooses", "epoch", (4.3, max(2.7, 1.1 + 0.3 * len(rules))))
        for place, name in enumerate(rules):
            decided = name == step.rule
            axes.plot(epochs, [place] * len(epochs), ".", color=MUTED, markersize=2.5, alpha=0.7)
            axes.plot([step.choices[name].epoch], [place], "o", markersize=9, color=SERIES[1] if decided else SERIES[0],
                      markerfacecolor=SERIES[1] if decided else "none", markeredgewidth=1.6)  # fmt: skip
        fallen = [epoch for epoch in epochs if epoch in step.collapsed]
        if fallen:
            axes.plot(fallen, [0.03] * len(fallen), "x", color=INK, markersize=6, markeredgewidth=1.6,
                      transform=axes.get_xaxis_transform(), clip_on=False)  # fmt: skip
        _mark_taken(axes, step)
        axes.set_yticks(range(len(rules)), [clean(name) for name in rules])
        axes.set_ylim(len(rules) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.title.set_position((0, 1))
        listed = ", ".join(f"{name} epoch {step.choices[name].epoch}" for name in rules)
        return Plot(svg(figure), f"Choices: {listed}; {step.rule} decided.{_collapsed(fallen)}")


def loss_plots(metrics: Sequence[Mapping[str, Any]]) -> tuple[Plot, ...]:
    """Losses of a step over its epochs: the sum in one panel, its parts in others, three at most in each."""
    names = list(dict.fromkeys(key for record in metrics for key in record if key.startswith(("train_", "val_"))))
    whole = [name for name in names if name in ("train_loss", "val_loss")]
    parts = [name for name in names if name not in whole]
    groups = [("Training loss", whole)] if whole else []
    groups += [("Parts of the loss", parts[start : start + 3]) for start in range(0, len(parts), 3)]
    return tuple(plot for title, group in groups for plot in _loss(metrics, title, group))


def _loss(metrics: Sequence[Mapping[str, Any]], title: str, names: Sequence[str]) -> Iterator[Plot]:
    from matplotlib.ticker import MaxNLocator

    lines = {
        name: [(r.get("epoch", n), r[name]) for n, r in enumerate(metrics) if _known(r.get(name))] for name in names
    }
    lines = {name: points for name, points in lines.items() if points}
    if not lines:
        return
    with style():
        figure, axes = panel(title, "epoch", (4.3, 2.7))
        for place, (name, points) in enumerate(lines.items()):
            label = clean(name.removeprefix("train_").replace("_", " "))
            axes.plot(*zip(*points, strict=True), color=SERIES[place], linestyle=_DASHES[place], label=label,
                      marker="o" if len(points) <= 12 else "", markersize=3.5)  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        if len(lines) > 1 or title.startswith("Parts"):
            _legend(axes)
        ends = "; ".join(
            f"{name.removeprefix('train_')} from {points[0][1]:.3g} to {points[-1][1]:.3g}"
            for name, points in lines.items()
        )
        yield Plot(svg(figure), f"{title} over {len(metrics)} epochs: {ends}.")


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=3, borderaxespad=0, columnspacing=1.2)


def _known(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
