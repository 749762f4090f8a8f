"""The canvas of figures: SVG that follows the page, its font, and its colours in light and dark.

Matplotlib draws with placeholder colours; each becomes a CSS variable with a fallback, so that the same SVG also stands
alone. Panels are small and placed side by side by the page, which keeps their text readable on a phone.
"""

from __future__ import annotations

import hashlib
import io
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008); in dark mode the page sets lighter ones.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a8508a", "#8a6d00", "#4d4d4d")
INK, MUTED, LINE = "#1c2126", "#5c6570", "#d9dde1"
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
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
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 24,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.labelcolor": MUTED,
}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Plot:
    """A figure. ``svg`` is one ``<svg>`` element; ``alt`` says in a sentence what it shows."""

    svg: str
    alt: str


@dataclass(frozen=True)
class LineStyle:
    """How a line is drawn, so that neither colour nor dashes are the only difference between few lines.

    Args:
        colour: One of the placeholders above.
        dashes: On and off lengths in widths of the line; empty for a solid line.
        marker: Matplotlib's name of the marker.
        width_pt: Width of the line.
    """

    colour: str
    dashes: tuple[float, ...] = ()
    marker: str = "o"
    width_pt: float = 1.8

    @property
    def linestyle(self) -> Any:
        """For matplotlib."""
        return (0, self.dashes) if self.dashes else "-"

    @property
    def css_colour(self) -> str:
        """For the page."""
        return f"var({_VARIABLES[self.colour]}, {self.colour})"

    @property
    def sample(self) -> str:
        """A piece of the line as SVG, for a legend on the page."""
        dash = (
            f' stroke-dasharray="{" ".join(f"{part * self.width_pt:g}" for part in self.dashes)}"'
            if self.dashes
            else ""
        )
        return (
            f'<svg viewBox="0 0 34 14" class="line-sample" aria-hidden="true"><path d="M1 7H33" fill="none" '
            f'style="stroke:{self.css_colour}" stroke-width="{self.width_pt:g}"{dash}/>'
            f'<path d="{_MARKERS[self.marker]}" style="fill:{self.css_colour}"/></svg>'
        )


_MARKERS = {
    "o": "M13.8 7a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0z",
    "s": "M14 4h6v6h-6z",
    "^": "M17 3.2L20.6 9.8H13.4z",
    "D": "M17 3L21 7L17 11L13 7z",
    "v": "M17 10.8L20.6 4.2H13.4z",
    "": "",
}
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.6), (1.1, 1.3), (5, 1.3, 1.1, 1.3))


def line_styles(count: int) -> tuple[LineStyle, ...]:
    """Styles of so many lines: five colours, then the same with other dashes and markers, and thinner.

    >>> len(set(line_styles(60)))
    60
    """
    markers = [marker for marker in _MARKERS if marker]
    return tuple(
        LineStyle(
            SERIES[number % 5],
            _DASHES[number // 5 % len(_DASHES)],
            markers[number // 5 % len(markers)],
            1.8 if number < 5 else 1.2,
        )
        for number in range(count)
    )


def style() -> AbstractContextManager[None]:
    """A context in which matplotlib draws as the page looks; figures are made and written inside it."""
    import matplotlib

    settings: Any = _STYLE  # matplotlib types its settings by literal names
    return matplotlib.rc_context(settings)


def panel(
    title: str,
    x_label: str,
    size: tuple[float, float] = (4.3, 2.9),
    layout: Literal["constrained"] | None = "constrained",
) -> tuple[Figure, Axes]:
    """An empty panel.

    Args:
        title: Heading, without control characters.
        x_label: Label of the x axis.
        size: Width and height in inches of 72 points; texts are 10 to 12 points.
        layout: None to place the axes by hand, which is much quicker.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout=layout)
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x_label, loc="right", fontsize=10)
    return figure, axes


def clean(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def svg(figure: Figure) -> str:
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
