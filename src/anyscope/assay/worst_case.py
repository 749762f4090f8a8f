"""The worst of several attacks on the same images: of each image, and for the lowest pooled score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anyscope.assay.conditions import SEA_NAMES, WORST, Condition

Numbers = NDArray[np.float64]
SMALLEST_GAIN = 1e-6
"""Passes over the images end when one of them lowers the score by less than this."""


def members(ensemble: Condition, conditions: tuple[Condition, ...]) -> list[int]:
    """Places of the conditions whose worst an ensemble is: SEA's parts, or all that stay in the same ball."""
    same = [
        place
        for place, other in enumerate(conditions)
        if other.kind == "attack" and not other.derived and (other.level, other.norm) == (ensemble.level, ensemble.norm)
    ]
    if ensemble.name == WORST:
        return same
    return [
        place for place in same if conditions[place].name in SEA_NAMES and conditions[place].steps == ensemble.steps
    ]


def worst_of_each(counts: Numbers) -> NDArray[np.intp]:
    """The attack (images,) that leaves each image the lowest score; of equal ones the one with most wrong pixels.

    Args:
        counts: TP, FP and FN (attacks, images, classes, 3).
    """
    scores = mean_overlap(counts)
    scores = np.where(np.isnan(scores), 1.0, scores)
    wrong = counts[..., 1:].sum(axis=(-1, -2))
    worst: NDArray[np.intp] = np.lexsort((-wrong, scores), axis=0)[0]
    return worst


def greedy_choice(counts: Numbers, rng: np.random.Generator) -> NDArray[np.intp]:
    """The attack (images,) of each image for which the pooled score is low.

    It begins with the best of: each attack alone, and the worst of each image. Then, image by image in shuffled order,
    another attack is taken wherever that lowers the pooled score, until a pass gains next to nothing. So it is never
    above the pooled score of any attack. Source: Croce, Singh, Hein, ECCV 2024, arXiv 2306.12941; the start is ours.

    Args:
        counts: TP, FP and FN (attacks, images, classes, 3).
        rng: For the order of the images.
    """
    attacks, images = counts.shape[:2]
    places = np.arange(images)
    starts = [np.full(images, attack) for attack in range(attacks)] + [worst_of_each(counts)]
    sums = [counts[start, places].sum(axis=0) for start in starts]
    first = int(np.argmin([_pooled(one) for one in sums]))
    chosen, total = starts[first].copy(), sums[first]
    lowest = float(_pooled(total))
    while True:
        before = lowest
        for image in rng.permutation(images):
            others = total - counts[chosen[image], image] + counts[:, image]
            scores = _pooled(others)
            best = int(scores.argmin())
            if scores[best] < lowest:
                chosen[image], total, lowest = best, others[best], float(scores[best])
        if before - lowest < SMALLEST_GAIN:
            return chosen


def mean_overlap(counts: Numbers) -> Numbers:
    """TP / (TP + FP + FN) of counts (..., classes, 3), the mean over the classes that occur; NaN where none does."""
    total = counts.sum(axis=-1)
    known = total > 0
    number = known.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.where(known, counts[..., 0] / total, 0.0).sum(axis=-1)
        result: Numbers = np.where(np.isnan(total).any(axis=-1) | (number == 0), np.nan, sums / number)
    return result


def _pooled(counts: Numbers) -> Numbers:
    """Scores of pooled counts; 1 where nothing is there at all."""
    found: Numbers = np.nan_to_num(mean_overlap(counts), nan=1.0)
    return found
