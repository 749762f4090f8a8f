"""Figures as SVG that follow the page: its font, and its colours in light and dark.

Matplotlib draws with placeholder colours; each becomes a CSS variable with a fallback, so that the same SVG also stands
alone. Panels are small and placed side by side by the page, which keeps their text readable on a phone.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from anyscope.reports.numbers import capitalised, score, score_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Record = Mapping[str, Any]

# Okabe and Ito (2008); in dark mode the page sets lighter ones.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a8508a", "#8a6d00", "#4d4d4d")
_INK, _MUTED, _LINE = "#1c2126", "#5c6570", "#d9dde1"
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _LINE: "--line",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, 1)},
}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.hashsalt": "anyscope",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "text.color": _INK,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _LINE,
    "axes.titlecolor": _INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 24,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.8,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.labelcolor": _MUTED,
}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Plot:
    """A figure. ``svg`` is one ``<svg>`` element; ``alt`` says in a sentence what it shows."""

    svg: str
    alt: str


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
        style = ("-", (0, (4, 2)), (0, (1, 1.5)), "-.")[place % 4]
        axes.plot(epochs, values, color=colour, label=_clean(label), marker=marker, markersize=3.5, linestyle=style)
    if len(keys) > 1 or labels[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=3, borderaxespad=0, columnspacing=1.2)


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
    for start in range(0, len(scores), 3):
        shown = scores[start : start + 3]
        labels = [score_name(key.removeprefix("val_")) for key in shown]
        title = "Validation scores" if len(scores) > 1 else "Validation"
        plots.append(_curve(records, title, shown, labels, best_epoch))
    if "learning_rate" in keys:
        plots.append(_curve(records, "Learning rate", ["learning_rate"], [""], None))
    return tuple(plots)


def _curve(
    records: Sequence[Record], title: str, keys: Sequence[str], labels: Sequence[str], best_epoch: int | None
) -> Plot:
    """One panel of curves over epochs, with what it shows in words."""
    from matplotlib.ticker import MaxNLocator

    with _style():
        figure, axes = _panel(title, "epoch")
        _draw(axes, records, keys, labels)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        known = [value for key in keys for value in _series(records, key)[1] if math.isfinite(value)]
        if known and min(known) > 0 and max(known) > 30 * min(known):
            axes.set_yscale("log")
            axes.minorticks_off()
        if known and title.startswith("Validation") and min(known) >= 0 and max(known) <= 1:
            axes.set_ylim(top=min(1.0, max(known) + 0.08 * (max(known) - min(known)) + 0.01))
        if best_epoch is not None:
            late = best_epoch > sum(axes.get_xlim()) / 2
            axes.axvline(best_epoch, color=_MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=0)
            axes.annotate(
                f"kept: {best_epoch}",
                (best_epoch, 0.03 if keys[0].startswith("val_") and keys[0] != "val_loss" else 0.92),
                xycoords=("data", "axes fraction"),
                xytext=(-4 if late else 4, 0),
                textcoords="offset points",
                ha="right" if late else "left",
                fontsize=10,
                color=_MUTED,
            )
        ends = []
        for key, label in zip(keys, labels, strict=True):
            finite = [value for value in _series(records, key)[1] if math.isfinite(value)]
            if finite:
                ends.append(f"{label or title} from {finite[0]:.3g} to {finite[-1]:.3g}")
        return Plot(_svg(figure), f"{title} over {len(records)} epochs: {'; '.join(ends) or 'no values'}.")


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
    with _style():
        figure, axes = _panel(f"{_clean(capitalised(score_name(name)))} of every image", "images, sorted by score")
        band = " and 95 %" if interval is not None else ""
        if interval is not None:
            axes.axhspan(*interval, color=SERIES[1], alpha=0.22, linewidth=0)
        if mean is not None:
            axes.axhline(mean, color=SERIES[1], linewidth=1.6, label=f"mean {score(mean)}{band}")
        if pooled is not None:
            axes.axhline(pooled, color=_MUTED, linewidth=1.4, linestyle=(0, (4, 2)), label=f"pooled {score(pooled)}")
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
        return Plot(_svg(figure), f"{alt}median {score(middle)}, highest {score(ordered[-1])}.")


def _style() -> AbstractContextManager[None]:
    import matplotlib

    style: Any = _STYLE  # matplotlib types its settings by literal names
    return matplotlib.rc_context(style)


def _panel(title: str, x_label: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.3, 2.9), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x_label, loc="right", fontsize=10)
    return figure, axes


def _clean(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _svg(figure: Figure) -> str:
    """The figure as one ``<svg>`` element for a page: no styles of its own, unique ids, colours as variables."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(figure)
    figure.savefig(buffer, format="svg", metadata=metadata)
    source = buffer.getvalue()
    root = ElementTree.fromstring(source)
    prefix = "f" + hashlib.sha256(source).hexdigest()[:10]
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = _attributes(element, prefix)
        for child in list(element):
            if child.tag.rpartition("}")[2] in {"metadata", "style"}:
                element.remove(child)
    root.attrib = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": root.attrib["viewBox"], "class": "plot"}
    return ElementTree.tostring(root, encoding="unicode")


def _attributes(element: ElementTree.Element, prefix: str) -> dict[str, str]:
    attributes = {}
    for name, value in element.attrib.items():
        name = name.rpartition("}")[2]
        if name == "id":
            if element.tag == "g":
                continue  # matplotlib's names of groups, the same in every figure
            value = f"{prefix}-{value}"
        elif name == "href":
            value = f"#{prefix}-{value.removeprefix('#')}"
        else:
            value = re.sub(r"url\(#", f"url(#{prefix}-", value)
            value = re.sub(r"#[0-9a-f]{6}", _variable, value) if name == "style" else value
        attributes[name] = value
    return attributes


def _variable(match: re.Match[str]) -> str:
    colour = match.group()
    return f"var({_VARIABLES[colour]}, {colour})" if colour in _VARIABLES else colour
