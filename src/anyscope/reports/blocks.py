"""The blocks a page is composed of: plain data, each with the template that shows it.

A new kind of block is one frozen dataclass here and one template of the same name; pages, sections and the style need
no change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from anyscope.reports.drawing import LineStyle, Plot
from anyscope.reports.evaluations import ScoreRow
from anyscope.reports.numbers import plain
from anyscope.reports.pictures import GalleryItem
from anyscope.reports.stacks import StackItem
from anyscope.reports.tiles import Strip


class Block(Protocol):
    """Anything with a template that shows it; the template sees the block as ``block``."""

    template: ClassVar[str]


@dataclass(frozen=True)
class Text:
    """Paragraphs of plain text."""

    paragraphs: tuple[str, ...]
    template: ClassVar[str] = "text.html"


@dataclass(frozen=True)
class Points:
    """A list of sentences with a heading.

    Args:
        title: Heading of the list.
        points: Its sentences.
    """

    title: str
    points: tuple[str, ...]
    template: ClassVar[str] = "points.html"


@dataclass(frozen=True)
class KeyNumbers:
    """The few numbers a reader came for, set large: (value, what it is, remark)."""

    entries: tuple[tuple[str, str, str], ...]
    template: ClassVar[str] = "key_numbers.html"


@dataclass(frozen=True)
class Facts:
    """A definition list of what was run.

    Args:
        title: Heading of the list.
        entries: Terms and their values as text; build them with :func:`Facts.of`.
        collapsed: Show only the heading until it is opened.
    """

    title: str
    entries: tuple[tuple[str, str], ...]
    collapsed: bool = False
    template: ClassVar[str] = "facts.html"

    @classmethod
    def of(cls, title: str, mapping: Mapping[str, object], collapsed: bool = False) -> Facts:
        """From a nested mapping of plain data; nested keys are joined by dots.

        >>> Facts.of("Settings", {"optimiser": {"rate": 0.001}, "amp": False}).entries
        (('optimiser.rate', '0.001'), ('amp', 'no'))
        """
        return cls(title, tuple(_flatten(mapping)), collapsed)


def _flatten(mapping: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            entries += _flatten(value, f"{name}.")
        else:
            entries.append((name, plain(value)))
    return entries


@dataclass(frozen=True)
class ScoreTable:
    """Scores with their spread over the images, and beneath them what they mean.

    Args:
        caption: What was scored.
        rows: One row per score.
        conventions: Topic and convention, for example ("ignored", "label 255").
        plot: The distribution of the most important score, shown beside the conventions.
    """

    caption: str
    rows: tuple[ScoreRow, ...]
    conventions: tuple[tuple[str, str], ...] = ()
    plot: Plot | None = None
    template: ClassVar[str] = "score_table.html"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        text: What is shown.
        value: What it is sorted as; without a value it comes last.
        note: Shown small beneath the text.
    """

    text: str
    value: float | None = None
    note: str = ""


@dataclass(frozen=True)
class DataTable:
    """A table whose columns can be sorted.

    Args:
        caption: What the table lists.
        columns: Names of the columns.
        rows: Cells; numbers are set with three decimals and sorted as numbers, None is a dash.
        collapsed: Show only the caption until it is opened.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | Cell | None, ...], ...]
    collapsed: bool = False
    template: ClassVar[str] = "data_table.html"


@dataclass(frozen=True)
class Plots:
    """Figures side by side: on a desk four small, three medium or two wide ones in a row."""

    plots: tuple[Plot, ...]
    caption: str = ""
    size: Literal["small", "medium", "wide"] = "medium"
    template: ClassVar[str] = "plots.html"


@dataclass(frozen=True)
class Gallery:
    """Images with what was predicted for them, and a legend of the colours: (colour, meaning).

    Args:
        title: Heading; empty for none.
        items: The images.
        legend: Colours and their meaning.
        note: A remark above them.
        compact: On a desk all views of an image side by side, however small.
    """

    title: str
    items: tuple[GalleryItem, ...]
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""
    compact: bool = False
    template: ClassVar[str] = "gallery.html"


@dataclass(frozen=True)
class Stacks:
    """Stacks to scroll through, and a legend of the colours of the errors: (colour, meaning)."""

    title: str
    items: tuple[StackItem, ...]
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""
    template: ClassVar[str] = "stacks.html"


@dataclass(frozen=True)
class Shade:
    """A cell of a heat map: its text, and the colours of its ground and of its text."""

    text: str
    ground: str
    ink: str


@dataclass(frozen=True)
class HeatMap:
    """Numbers on coloured ground, as a table.

    Args:
        caption: What the numbers are.
        groups: Titles of groups of neighbouring columns, and how many columns each has.
        columns: Names of the columns.
        rows: Names of the rows and their cells; None where there is no number.
        scale: Cells that explain the colours, from low to high; shown where there are any.
    """

    caption: str
    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Shade | None, ...]], ...]
    scale: tuple[Shade, ...] = ()
    template: ClassVar[str] = "heat_map.html"


@dataclass(frozen=True)
class LineLegend:
    """What lines in figures stand for: (style of the line, name)."""

    entries: tuple[tuple[LineStyle, str], ...]
    note: str = ""
    template: ClassVar[str] = "line_legend.html"


@dataclass(frozen=True)
class Strips:
    """Rows of small pictures, and a legend of the colours of their outlines: (colour, meaning)."""

    title: str
    strips: tuple[Strip, ...]
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""
    template: ClassVar[str] = "strips.html"


@dataclass(frozen=True)
class Alarm:
    """Something the reader must not overlook.

    Args:
        title: A few words.
        text: What was found and what to do about it.
        level: ``danger`` where the result cannot be trusted, ``warning`` where it may be better, ``note`` otherwise.
    """

    title: str
    text: str
    level: Literal["danger", "warning", "note"] = "warning"
    template: ClassVar[str] = "alarm.html"

    @property
    def word(self) -> str:
        """The level in a word, for those who do not see the colour."""
        return {"danger": "Alarm", "warning": "Warning", "note": "Note"}[self.level]


@dataclass(frozen=True)
class Commands:
    """Shell commands that reproduce the result, to be copied."""

    commands: tuple[str, ...]
    caption: str = ""
    template: ClassVar[str] = "commands.html"


def alarms_of(notes: Sequence[Alarm | str]) -> tuple[Alarm, ...]:
    """Alarms as they are, plain strings as notes."""
    return tuple(note if isinstance(note, Alarm) else Alarm("", note, "note") for note in notes)
