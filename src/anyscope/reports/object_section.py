"""The section about errors of objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from anyscope.metrics.object_errors import LinkRule
from anyscope.reports.blocks import Block, Cell, DataTable, Gallery
from anyscope.reports.numbers import number
from anyscope.reports.object_findings import KindTotal
from anyscope.reports.page import Section
from anyscope.reports.pictures import GalleryItem


@dataclass(frozen=True)
class ObjectFindings:
    """What a report says about errors of objects.

    Args:
        numbers: Objects of each kind in all images, see :func:`anyscope.reports.object_findings.total_numbers`.
        totals: What each kind adds to the scores, see :func:`anyscope.reports.object_findings.kind_totals`.
        crops: The worst errors.
        rule: When a reference and a predicted object belong together.
        by_plane: Whether ids count per plane.
    """

    numbers: Mapping[str, int]
    totals: tuple[KindTotal, ...]
    crops: tuple[GalleryItem, ...] = ()
    rule: LinkRule = field(default_factory=LinkRule)
    by_plane: bool = False


_MEANINGS = {
    "split": "reference objects in several pieces",
    "merge": "predicted objects over several reference objects",
    "missed": "reference objects that nothing belongs to",
    "invented": "predicted objects that belong to nothing",
    "outlines": "all other objects: what their outlines cost",
}


def object_section(findings: ObjectFindings) -> Section:
    """Numbers of each kind of error, what they cost, and the worst ones."""
    unit = "plane" if findings.by_plane else "image"
    lead = (
        f"Within one {unit}, objects belong together where they have an {findings.rule}. What the kinds add to the "
        "scores is exact: cuts count for the reference object, joins for the predicted one, what was left out for the "
        "reference object that lost it (reference background is not scored, predicted background is one segment)."
    )
    blocks: list[Block] = [_table(findings.totals)]
    if findings.crops:
        note = (
            "The errors of each kind that add most to the Adapted Rand error, and the largest invented objects, which "
            "that score does not see. Tags (S split, M merge, L lost, I invented) are in the pictures above where the "
            "plane shows the object."
        )
        blocks.append(Gallery("The worst of each kind", findings.crops, note=note, compact=True))
    return Section("Errors of objects", tuple(blocks), lead)


def _table(totals: tuple[KindTotal, ...]) -> DataTable:
    rows: list[tuple[str | float | Cell | None, ...]] = [
        (
            total.kind,
            _MEANINGS[total.kind],
            None if total.kind == "outlines" else total.objects,
            None if total.kind == "outlines" else Cell(f"{total.pixels:,}", total.pixels),
            total.rand,
            total.information,
        )
        for total in totals
    ]
    rand, information = sum(total.rand for total in totals), sum(total.information for total in totals)
    rows.append(("together", f"Adapted Rand error {number(rand)}, VOI {number(information)} bits", None, None, rand,
                 information))  # fmt: skip
    columns = ("Kind", "What it is", "Objects", "Pixels", "Adds to Adapted Rand error", "Adds to VOI (bits)")
    return DataTable("Errors of objects and what they add to the scores", columns, tuple(rows))
