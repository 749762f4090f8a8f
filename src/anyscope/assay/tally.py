"""The counts of a ledger as one array, from which every score of an assay follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anyscope.assay.conditions import Condition
from anyscope.assay.plan import AssayPlan
from anyscope.assay.worst_case import greedy_choice, mean_overlap, members
from anyscope.running.ledger import Ledger
from anyscope.seeding import generator

Numbers = NDArray[np.float64]
Measure = Literal["mask", "objects"]

NAMES: dict[Measure, str] = {"mask": "IoU", "objects": "TP/(TP+FP+FN) at IoU .5"}
"""What the score of each measure is called."""


@dataclass(frozen=True, eq=False)
class Tally:
    """True positives, false positives and false negatives of every model under every condition in every image.

    They are pixels of a class for the measure ``mask`` and objects matched at an IoU above .5 for ``objects``; in both
    cases the score is TP / (TP + FP + FN), the mean over classes where there are several.

    Args:
        measure: What is counted.
        models: Names.
        conditions: All but those of other data.
        images: Names.
        counts: (models, conditions, images, classes, 3) float64; NaN where a cell is missing.
        wanted: (models, conditions) whether the plan has such cells; None where it is to be seen from those there are.
    """

    measure: Measure
    models: tuple[str, ...]
    conditions: tuple[Condition, ...]
    images: tuple[str, ...]
    counts: Numbers
    wanted: NDArray[np.bool_] | None = None

    def pooled(self) -> Numbers:
        """Scores (models, conditions) of the counts of all images; NaN where a cell is missing."""
        return mean_overlap(self.counts.sum(axis=2))

    def drawn(self, samples: NDArray[np.intp]) -> Numbers:
        """The same (resamples, models, conditions) for samples (resamples, images) of indices of images."""
        weights = np.zeros((len(samples), len(self.images)))
        np.add.at(weights, (np.arange(len(samples))[:, None], samples), 1)
        by_image = np.moveaxis(self.counts, 2, 0)
        drawn = np.empty((len(samples), len(self.models), len(self.conditions)))
        for number in range(len(self.conditions)):
            drawn[:, :, number] = mean_overlap(np.tensordot(weights, by_image[:, :, number], axes=1))
        return drawn

    def per_image(self) -> Numbers:
        """Scores (models, conditions, images); NaN where there is nothing on either side, or the cell is missing."""
        return mean_overlap(self.counts)

    def complete(self) -> NDArray[np.bool_]:
        """Which models (m,) have all the cells that a model of their kind can have.

        Where the plan is not known, a model has all or none of the attacks made for it, and so of those made for
        others: the baseline has no gradient, and is shown only the latter.
        """
        there = np.asarray(np.isfinite(self.counts).all(axis=(2, 3, 4)), bool)
        if self.wanted is not None:
            return np.asarray((there | ~self.wanted).all(axis=1))
        complete = np.ones(len(self.models), bool)
        kinds = [(c.kind, bool(c.of)) for c in self.conditions]
        for kind in dict.fromkeys(kinds):
            own = np.array([k == kind and not c.derived for k, c in zip(kinds, self.conditions, strict=True)], bool)
            tried = np.isfinite(self.counts[:, own]).reshape(len(self.models), -1).any(axis=1)
            complete &= there[:, own].all(axis=1) | ((kind[0] == "attack") & ~tried)
        return complete

    def only(self, conditions: Sequence[Condition]) -> Tally:
        """The same for some of the conditions."""
        numbers = [self.conditions.index(condition) for condition in conditions]
        wanted = None if self.wanted is None else self.wanted[:, numbers]
        return Tally(self.measure, self.models, tuple(conditions), self.images, self.counts[:, numbers], wanted)


def tally(plan: AssayPlan, ledger: Ledger, measure: Measure) -> Tally | None:
    """The counts of the conditions that are applied to the main data; None where the measure was not taken."""
    conditions = [Condition.parse(key) for key in plan.conditions]
    return _tally(plan, ledger, measure, tuple(c for c in conditions if c.kind != "shift"), plan.data[0].images)


def shift_tallies(plan: AssayPlan, ledger: Ledger, measure: Measure) -> dict[str, Tally]:
    """The counts on other data, by its name."""
    found = {}
    for ref in plan.data[1:]:
        one = _tally(plan, ledger, measure, (Condition("shift", ref.name),), ref.images)
        if one is not None:
            found[ref.name] = one
    return found


def _tally(
    plan: AssayPlan, ledger: Ledger, measure: Measure, conditions: tuple[Condition, ...], images: tuple[str, ...]
) -> Tally | None:
    models = tuple(ref.name for ref in plan.subjects)
    places = [
        {name: number for number, name in enumerate(names)}
        for names in (models, [condition.key for condition in conditions], images)
    ]
    stored: dict[tuple[int, int, int], Any] = {}
    for cell in ledger.cells():
        if cell.result is None or measure not in cell.result:
            continue
        if all(part in place for part, place in zip(cell.key, places, strict=True)):
            m, c, i = (place[part] for part, place in zip(cell.key, places, strict=True))
            stored[m, c, i] = cell.result[measure]
    if not stored:
        return None
    pairs = [np.array(one["rows"]["pairs"][:2]) for one in stored.values() if "pairs" in one["rows"]]
    classes = 1 + max((int(pair.max(initial=0)) for pair in pairs), default=0)
    counts = np.full((len(models), len(conditions), len(images), classes, 3), np.nan)
    for place, one in stored.items():
        counts[place] = _counts(one, measure, classes)
    _fill_ensembles(counts, conditions, plan.seed)
    wanted = np.array([[plan.takes(ref, condition) for condition in conditions] for ref in plan.subjects], bool)
    return Tally(measure, models, conditions, images, counts, wanted)


def _fill_ensembles(counts: Numbers, conditions: tuple[Condition, ...], seed: int) -> None:
    """Counts of the derived conditions, from those of their members that a model has all cells of."""
    for place, condition in enumerate(conditions):
        if not condition.derived:
            continue
        for model in counts:
            of = [other for other in members(condition, conditions) if np.isfinite(model[other]).all()]
            if of:
                chosen = greedy_choice(model[of], generator(seed, "assay", condition.key))
                model[place] = model[of][chosen, np.arange(model.shape[1])]


def _counts(stored: dict[str, Any], measure: Measure, classes: int) -> Numbers:
    """TP, FP and FN (classes, 3) of what a protocol counted."""
    sums = stored["sums"]
    if measure == "objects":
        return np.array([[sums[name][0] for name in ("tp", "fp", "fn")]], np.float64)
    if "pixels" in sums:
        return np.array([sums["pixels"][:3]], np.float64)
    reference, prediction, number = np.array(stored["rows"]["pairs"], np.int64)
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (reference, prediction), number)
    hits = np.diag(confusion)
    return np.stack([hits, confusion.sum(axis=0) - hits, confusion.sum(axis=1) - hits], axis=1)
