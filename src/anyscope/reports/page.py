"""A page of sections of blocks, rendered into one offline HTML file.

Everything is escaped (Jinja2 autoescape) and the page forbids itself every request and every script but its own by a
content security policy, so that a file name or a note can never become markup that acts.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from anyscope.reports.blocks import Block

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Section:
    """A heading, an optional sentence beneath it, and blocks."""

    title: str
    blocks: tuple[Block, ...]
    lead: str = ""


@dataclass(frozen=True)
class Page:
    """A report.

    Args:
        title: What the report is about.
        lead: One sentence with the result.
        sections: Shown in order, and listed at the top where there are several.
        top: Blocks between the lead and the first section: key numbers and alarms.
        footer: A line at the end, for example the version that wrote the page.
    """

    title: str
    lead: str
    sections: tuple[Section, ...]
    top: tuple[Block, ...] = ()
    footer: str = ""

    def html(self) -> str:
        """The page as one HTML document that needs nothing else."""
        from markupsafe import Markup

        script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
        policy = (
            f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'"
        )
        text = (
            _environment()
            .get_template("page.html")
            .render(
                page=self,
                policy=policy,
                script=Markup(script),
                style=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),
            )
        )
        # Control characters and undecodable bytes of file names have no place in HTML, nor in UTF-8.
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from anyscope.reports.numbers import number, score

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = score
    environment.filters["number"] = number
    # For the SVG that drawing.py writes, whose texts the XML writer has escaped.
    environment.filters["svg"] = Markup
    return environment
