"""Which images a report shows: the worst, those around the median, and the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Group = Literal["worst", "median", "best"]


@dataclass(frozen=True)
class Choice:
    """An image that is shown.

    Args:
        name: The image.
        group: Why it is shown.
        rank: Its place among the ranked images, 1 for the best.
        of: How many images were ranked.
        score: Its score.
    """

    name: str
    group: Group
    rank: int
    of: int
    score: float


def choose(scores: Mapping[str, float | None], per_group: int = 1, higher_is_better: bool = True) -> tuple[Choice, ...]:
    """The worst, median and best images, the worst first; no image twice.

    Ties are ordered by name, so that the choice does not depend on the order of the mapping. Where there are fewer
    images than places, the worst are kept before the best, and the best before the median.

    Args:
        scores: Score of every image by name; images without a (finite) score are not ranked.
        per_group: How many images of each group.
        higher_is_better: False for errors and distances.

    >>> [(choice.name, choice.group) for choice in choose({"a": 0.1, "b": 0.5, "c": 0.4, "d": 0.9, "e": None})]
    [('a', 'worst'), ('c', 'median'), ('d', 'best')]
    """
    if per_group < 1:
        raise ValueError(f"per_group must be at least 1, not {per_group}")
    ranked = [(value, name) for name, value in scores.items() if value is not None and math.isfinite(value)]
    ranked.sort(key=lambda pair: (pair[0] if higher_is_better else -pair[0], pair[1]))
    total = len(ranked)
    worst = min(per_group, total)
    best = min(per_group, total - worst)
    between = range(worst, total - best)
    middle = (total - 1) / 2
    nearest = sorted(between, key=lambda place: (abs(place - middle), place))[:per_group]
    groups: list[tuple[Group, list[int]]] = [
        ("worst", list(range(worst))),
        ("median", sorted(nearest)),
        ("best", list(range(total - best, total))),
    ]
    return tuple(
        Choice(ranked[place][1], group, total - place, total, ranked[place][0])
        for group, places in groups
        for place in places
    )
