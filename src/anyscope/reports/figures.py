"""Figures of a training and of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from anyscope.reports.drawing import MUTED, SERIES, Plot, clean, panel, style, svg
from anyscope.reports.numbers import capitalised, score, score_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = Mapping[str, Any]
_LEGEND_LETTERS, _LINE_LETTERS = 44, 5
"""Width of a legend, and of the piece of line before a label, in letters."""
_LEGEND_ROW_PT = 15


def _number(value: object) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and math.isfinite(value) else math.nan  # type: ignore[arg-type]


def _series(records: Sequence[Record], key: str) -> tuple[list[float], list[float]]:
    """Epochs and values of one quantity; records without it are left out, undefined values are gaps."""
    epochs = [_number(record.get("epoch", place)) for place, record in enumerate(records) if key in record]
    return epochs, [_number(record[key]) for record in records if key in record]


def _draw(axes: Axes, records: Sequence[Record], keys: Sequence[str], labels: Sequence[str], first: int = 0) -> None:
    for place, (key, label) in enumerate(zip(keys, labels, strict=True)):
        epochs, values = _series(records, key)
        colour = SERIES[(first + place) % len(SERIES)]
        marker = "o" if len(epochs) <= 12 else ""
        # The second of two lines is dashed as well: colour is never the only difference.
        dashes = ("-", (0, (4, 2)), (0, (1, 1.5)), "-.")[place % 4]
        axes.plot(epochs, values, color=colour, label=clean(label), marker=marker, markersize=3.5, linestyle=dashes)
    if len(keys) > 1 or labels[0]:
        columns = legend_columns(labels)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=columns, borderaxespad=0, columnspacing=1.2)
        rows = -(-len(labels) // columns)
        axes.set_title(axes.get_title(loc="left"), pad=6 + _LEGEND_ROW_PT * rows)


def legend_columns(labels: Sequence[str]) -> int:
    """How many labels fit beside each other above a panel: a legend that is too wide leaves no room for the axes.

    >>> legend_columns(["training", "validation"]), legend_columns(["a label of rather many letters"] * 3)
    (2, 1)
    """
    widest = max(map(len, labels))
    return max(1, min(3, _LEGEND_LETTERS // (widest + _LINE_LETTERS)))


def learning_curves(records: Sequence[Record], best_epoch: int | None = None) -> tuple[Plot, ...]:
    """Curves of a training: loss, validation scores and learning rate over epochs.

    Args:
        records: One per epoch, as in metrics.jsonl: ``epoch``, ``train_loss``, ``val_loss``, ``val_<score>``,
            ``learning_rate``; what no record has gets no curve, values that are not finite leave gaps.
        best_epoch: The epoch whose weights were kept; marked where it is given.
    """
    keys = list(dict.fromkeys(key for record in records for key in record))
    losses = [key for key in ("train_loss", "val_loss") if key in keys]
    scores = [key for key in keys if key.startswith("val_") and key != "val_loss"]
    plots = []
    if losses:
        names = {"train_loss": "training", "val_loss": "validation"}
        plots.append(_curve(records, "Loss", losses, [names[key] for key in losses], best_epoch))
    title = "Validation scores" if len(scores) > 1 else "Validation"
    for alike in _alike(records, scores):
        for start in range(0, len(alike), 3):
            shown = alike[start : start + 3]
            labels = [score_name(key.removeprefix("val_")) for key in shown]
            plots.append(_curve(records, title, shown, labels, best_epoch))
    if "learning_rate" in keys:
        plots.append(_curve(records, "Learning rate", ["learning_rate"], [""], None))
    return tuple(plots)


def _alike(records: Sequence[Record], scores: Sequence[str]) -> list[list[str]]:
    """Scores between 0 and 1 apart from others: bits and counts would press them flat."""
    shares: list[str] = []
    others: list[str] = []
    for key in scores:
        known = [value for value in _series(records, key)[1] if math.isfinite(value)]
        (shares if all(-1 <= value <= 1 for value in known) else others).append(key)
    return [group for group in (shares, others) if group]


def _curve(
    records: Sequence[Record], title: str, keys: Sequence[str], labels: Sequence[str], best_epoch: int | None
) -> Plot:
    """One panel of curves over epochs, with what it shows in words."""
    from matplotlib.ticker import MaxNLocator

    with style():
        figure, axes = panel(title, "epoch")
        _draw(axes, records, keys, labels)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        known = [value for key in keys for value in _series(records, key)[1] if math.isfinite(value)]
        if known and min(known) > 0 and max(known) > 30 * min(known):
            axes.set_yscale("log")
            axes.minorticks_off()
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if known and title.startswith("Validation") and min(known) >= 0 and max(known) <= 1:
            axes.set_ylim(top=min(1.0, max(known) + 0.08 * (max(known) - min(known)) + 0.01))
        if best_epoch is not None:
            late = best_epoch > sum(axes.get_xlim()) / 2
            axes.axvline(best_epoch, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=0)
            axes.annotate(
                f"kept: {best_epoch}",
                (best_epoch, 0.03 if keys[0].startswith("val_") and keys[0] != "val_loss" else 0.92),
                xycoords=("data", "axes fraction"),
                xytext=(-4 if late else 4, 0),
                textcoords="offset points",
                ha="right" if late else "left",
                fontsize=10,
                color=MUTED,
            )
        ends = []
        for key, label in zip(keys, labels, strict=True):
            finite = [value for value in _series(records, key)[1] if math.isfinite(value)]
            if finite:
                ends.append(f"{label or title} from {finite[0]:.3g} to {finite[-1]:.3g}")
        return Plot(svg(figure), f"{title} over {len(records)} epochs: {'; '.join(ends) or 'no values'}.")


def score_distribution(
    name: str,
    values: Sequence[float],
    pooled: float | None = None,
    mean: float | None = None,
    interval: tuple[float, float] | None = None,
) -> Plot:
    """The score of every image, sorted, with the pooled score, the mean and its interval.

    Args:
        name: The score.
        values: One per image, finite; not empty.
        pooled: The score of the summed counts.
        mean: Mean over images.
        interval: 95 % interval of the mean.
    """
    if not values:
        raise ValueError("a distribution needs at least one value")
    ordered = sorted(values)
    ranks = range(1, len(ordered) + 1)
    with style():
        figure, axes = panel(f"{clean(capitalised(score_name(name)))} of every image", "images, sorted by score")
        band = " and 95 %" if interval is not None else ""
        if interval is not None:
            axes.axhspan(*interval, color=SERIES[1], alpha=0.22, linewidth=0)
        if mean is not None:
            axes.axhline(mean, color=SERIES[1], linewidth=1.6, label=f"mean {score(mean)}{band}")
        if pooled is not None:
            axes.axhline(pooled, color=MUTED, linewidth=1.4, linestyle=(0, (4, 2)), label=f"pooled {score(pooled)}")
        size = 4.5 if len(ordered) <= 60 else 2.5
        axes.plot(ranks, ordered, "o", color=SERIES[0], markersize=size, markeredgewidth=0, clip_on=False)
        if ordered[0] >= 0 and ordered[-1] <= 1:
            floor = 0.0 if ordered[0] < 0.5 else math.floor(ordered[0] * 10 - 0.5) / 10
            axes.set_ylim(floor, 1.0)
        margin = max(0.5, 0.03 * len(ordered))
        axes.set_xlim(1 - margin, len(ordered) + margin)
        ticks = sorted({1, (len(ordered) + 1) // 2, len(ordered)})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        if mean is not None or pooled is not None:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=2, borderaxespad=0, columnspacing=1.2)
        middle = median(ordered)
        alt = f"{score_name(name)} of {len(ordered)} images, sorted: lowest {score(ordered[0])}, "
        return Plot(svg(figure), f"{alt}median {score(middle)}, highest {score(ordered[-1])}.")
