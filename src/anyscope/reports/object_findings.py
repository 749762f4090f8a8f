"""What the errors of objects amount to over all images, and the worst of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from anyscope.contracts import Labels
from anyscope.metrics import contingency
from anyscope.metrics.contributions import Contributions, information_contributions, rand_contributions
from anyscope.metrics.object_errors import LinkRule, ObjectErrors, object_errors
from anyscope.metrics.overlap import ratio
from anyscope.reports.error_pictures import KINDS
from anyscope.reports.numbers import number
from anyscope.reports.palette import Colour

ErrorKind = Literal["split", "merge", "missed", "invented"]
_LETTERS: dict[ErrorKind, str] = {"split": "S", "merge": "M", "missed": "L", "invented": "I"}
NUMBERS = ("found", "inexact", "split", "merged", "missed", "merge", "invented")
_NAMED_PARTS = 4


@dataclass(frozen=True, eq=False)
class Compared:
    """The objects of an image, or of one plane where ids count per plane.

    Args:
        image: Name of the image.
        z: The plane; None for a whole image.
        errors: Its errors.
        rand: Contributions to the Adapted Rand error, predicted 0 as one segment.
        information: Contributions to the variation of information in bits, predicted 0 as one segment.
    """

    image: str
    z: int | None
    errors: ObjectErrors
    rand: Contributions
    information: Contributions

    @classmethod
    def of(
        cls, image: str, z: int | None, reference: Labels, prediction: Labels, rule: LinkRule | None = None
    ) -> Compared:
        """Compare two label images of one shape, 0 background."""
        table = contingency(reference, prediction)
        return cls(image, z, object_errors(table, rule), rand_contributions(table), information_contributions(table))


@dataclass(frozen=True)
class ObjectError:
    """One error of one object.

    Args:
        tag: A letter for the kind and its rank among them, such as ``S1``.
        kind: ``split`` and ``missed`` are of reference objects, ``merge`` and ``invented`` of predicted ones.
        place: Which of the compared images it is in.
        id: Of the object.
        pixels: Size of the object.
        parts: Ids of the objects of the other side that belong to it, and the pixels they share, most first.
        rand: What it adds to the pooled Adapted Rand error.
        information: What it adds to the pooled variation of information, in bits.
    """

    tag: str
    kind: ErrorKind
    place: int
    id: int
    pixels: int
    parts: tuple[tuple[int, int], ...]
    rand: float
    information: float

    @property
    def colour(self) -> Colour:
        """The colour of its kind."""
        return KINDS[self.kind]

    @property
    def of_reference(self) -> bool:
        """Whether it is a reference object."""
        return self.kind in ("split", "missed")

    def __str__(self) -> str:
        side = "Reference" if self.of_reference else "Predicted"
        text = f"{side} object {self.id} of {self.pixels:,} pixels, {self.kind}"
        if self.kind in ("split", "merge"):
            other = "predicted" if self.of_reference else "reference"
            shares = [f"{shared / self.pixels:.0%}" for _, shared in self.parts[:_NAMED_PARTS]]
            more = ", ..." if len(self.parts) > _NAMED_PARTS else ""
            word = "into" if self.kind == "split" else "of"
            text += f" {word} {len(self.parts)} {other} objects ({', '.join(shares)}{more} of it)"
        if self.kind == "invented":
            return text
        return f"{text}: {number(self.rand)} of the Adapted Rand error, {number(self.information)} bits of VOI"


@dataclass(frozen=True)
class KindTotal:
    """All errors of a kind: how many objects, their pixels, and what they add to the pooled scores."""

    kind: str
    objects: int
    pixels: int
    rand: float
    information: float


def total_numbers(compared: Sequence[Compared]) -> dict[str, int]:
    """How many objects of each kind in all images, as :meth:`ObjectErrors.numbers`."""
    totals: Counter[str] = Counter(dict.fromkeys(NUMBERS, 0))
    for each in compared:
        totals.update(each.errors.numbers())
    return dict(totals)


def kind_totals(compared: Sequence[Compared]) -> tuple[KindTotal, ...]:
    """What each kind adds to the pooled Adapted Rand error and variation of information; the sums are the scores.

    What is together in the reference and apart in the prediction counts for the reference object, what was joined for
    the predicted one, and what was predicted as background for the reference object that lost it. Objects that are no
    error of these kinds have their share as ``outlines``.
    """
    rows = []
    for kind in (*KINDS, "outlines"):
        objects = pixels = 0
        amounts = np.zeros(2)
        for each in compared:
            errors = each.errors
            reference, prediction = _flags(errors, kind)
            objects += int(reference.sum() + prediction.sum())
            pixels += int(errors.reference_sizes[reference].sum() + errors.prediction_sizes[prediction].sum())
            for column, parts in enumerate((each.rand, each.information)):
                of_reference = np.isin(parts.reference_ids, errors.reference_ids[reference])
                of_prediction = np.isin(parts.prediction_ids, errors.prediction_ids[prediction])
                lost = parts.splitting + parts.unpredicted
                amounts[column] += lost[of_reference].sum() + parts.merging[of_prediction].sum()
        rand, information = (
            ratio(float(amount), scale) for amount, scale in zip(amounts, _scales(compared), strict=True)
        )
        rows.append(KindTotal(kind, objects, pixels, rand, information))
    return tuple(rows)


def _flags(errors: ObjectErrors, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The reference and the predicted objects of a kind."""
    reference = {"split": errors.split, "missed": errors.missed, "outlines": ~(errors.split | errors.missed)}
    prediction = {"merge": errors.merge, "invented": errors.invented, "outlines": ~(errors.merge | errors.invented)}
    none = np.zeros(errors.reference_ids.size, bool), np.zeros(errors.prediction_ids.size, bool)
    return reference.get(kind, none[0]), prediction.get(kind, none[1])


def _scales(compared: Sequence[Compared]) -> tuple[float, float]:
    return sum(each.rand.scale for each in compared), sum(each.information.scale for each in compared)


def worst_errors(compared: Sequence[Compared], per_kind: int = 3) -> tuple[ObjectError, ...]:
    """The worst errors of each kind: those that add most to the Adapted Rand error, invented ones by their size.

    Adapted Rand looks at reference foreground only, where invented objects are not. Ties are ordered by size, then by
    the order of the images and of the ids.
    """
    scales = _scales(compared)
    found = []
    for kind, letter in _LETTERS.items():
        errors = [error for place, each in enumerate(compared) for error in _of_image(kind, place, each, scales)]
        errors.sort(key=lambda error: (0 if error.kind == "invented" else -error.rand, -error.pixels))
        for rank, error in enumerate(errors[:per_kind], 1):
            parts = compared[error.place].errors
            ids = parts.reference_ids if error.of_reference else parts.prediction_ids
            index = int(np.searchsorted(ids, np.uint64(error.id)))
            others = parts.of_reference(index) if error.of_reference else parts.of_prediction(index)
            found.append(
                ObjectError(f"{letter}{rank}", kind, error.place, error.id, error.pixels, others, error.rand,
                            error.information)
            )  # fmt: skip
    return tuple(found)


def _of_image(kind: ErrorKind, place: int, each: Compared, scales: tuple[float, float]) -> list[ObjectError]:
    errors = each.errors
    flags = dict(zip(("reference", "prediction"), _flags(errors, kind), strict=True))
    side = "reference" if kind in ("split", "missed") else "prediction"
    ids = (errors.reference_ids if side == "reference" else errors.prediction_ids)[flags[side]]
    sizes = (errors.reference_sizes if side == "reference" else errors.prediction_sizes)[flags[side]]
    amounts = []
    for parts, scale in zip((each.rand, each.information), scales, strict=True):
        names, values = parts.prediction_ids, parts.merging
        if side == "reference":
            names, values = parts.reference_ids, parts.splitting + parts.unpredicted
        by_id = dict(zip(names.tolist(), values.tolist(), strict=True))
        amounts.append([ratio(by_id.get(name, 0.0), scale) if scale else 0.0 for name in ids.tolist()])
    return [
        ObjectError("", kind, place, name, pixels, (), rand, information)
        for name, pixels, rand, information in zip(ids.tolist(), sizes.tolist(), *amounts, strict=True)
    ]
