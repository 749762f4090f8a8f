"""Figures of a crossing: how much of the gap each method recovers and where it does worst; the cost of selection."""

from __future__ import annotations

from anyscope.crossings.summary import ORACLE
from anyscope.reports.crossing_findings import HARM, Crossed, arrow
from anyscope.reports.drawing import INK, MUTED, SERIES, Plot, clean, panel, style, svg


def recovery_plot(crossed: Crossed) -> Plot | None:
    """A bar for each method with what it recovers, a line to what the best candidates would; None without any."""
    methods = crossed.ranked
    if not methods:
        return None
    words = []
    with style():
        figure, axes = panel("Recovered of the gap to training on own labels", "", (7.4, 1.25 + 0.42 * len(methods)))
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        for place, method in enumerate(methods):
            own, best = crossed.recovery(method), crossed.recovery(method, rule=ORACLE)
            sliced = crossed.recovery(method, "per_slice")
            assert own is not None
            assert own.recovered is not None
            axes.barh(place, 100 * own.recovered, 0.55, color=SERIES[0] if own.recovered >= 0 else SERIES[1])
            if sliced is not None and sliced.recovered is not None:
                axes.plot(100 * sliced.recovered, place, "D", color=SERIES[2], markersize=6, markeredgecolor="white",
                          label="per slice" if place == 0 else None)  # fmt: skip
            if best is not None and best.recovered is not None:
                axes.plot(100 * best.recovered, place, "|", color=INK, markersize=17, markeredgewidth=2,
                          label="best candidates, pooled" if place == 0 else None)  # fmt: skip
            words.append(f"{method} {own.recovered:.0%}")
        axes.axvline(0, color=MUTED, linewidth=1)
        _methods(axes, methods)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=3, borderaxespad=0, columnspacing=1.2)
        return Plot(svg(figure), f"Share of the gap that is recovered, pooled: {', '.join(words)}.")


def gain_plot(crossed: Crossed) -> Plot | None:
    """The gain of each method on every pair as a dot, its worst pair named; None without any method."""
    methods = crossed.ranked
    if not methods:
        return None
    words = []
    with style():
        figure, axes = panel("Gain over no adaptation, each pair a dot", "", (7.4, 1.25 + 0.42 * len(methods)))
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        for place, method in enumerate(methods):
            gains = {pair: gain for pair in crossed.pairs if (gain := crossed.gain(pair, method)) is not None}
            if not gains:
                continue
            worst = min(gains, key=lambda pair: gains[pair])
            bad = gains[worst] < -HARM
            axes.plot(list(gains.values()), [place] * len(gains), "o", color=SERIES[0], markersize=6, alpha=0.65,
                      markeredgewidth=0)  # fmt: skip
            axes.plot(gains[worst], place, "o", color=SERIES[1] if bad else SERIES[0], markersize=9,
                      markerfacecolor="none", markeredgewidth=1.8)  # fmt: skip
            axes.annotate(clean(arrow(worst)), (gains[worst], place), (0, 9), "data", "offset points",
                          ha="left" if gains[worst] < 0.1 else "center", fontsize=9, color=MUTED)  # fmt: skip
            words.append(f"{method} {gains[worst]:+.3f} at worst ({arrow(worst)})")
        axes.axvline(0, color=MUTED, linewidth=1)
        _methods(axes, methods)
        return Plot(svg(figure), f"Gain over no adaptation, pooled: {'; '.join(words)}.")


def _methods(axes: object, methods: tuple[str, ...]) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    axes.set_yticks(range(len(methods)), [clean(method) for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.75)
