"""An evaluation document (plain data, as ``evaluate --json`` prints it) as the rows of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyscope.errors import BadInput
from anyscope.reports.numbers import score_name


@dataclass(frozen=True)
class ScoreRow:
    """One score: from pooled counts, and its distribution over images.

    Args:
        key: Its key in the document.
        pooled: The score of the counts summed over all images; None where it is not defined.
        mean: Mean over the images for which it is defined; None where there are none.
        deviation: Standard deviation over images (n - 1); None under two images.
        interval: 95 % interval of the mean; None where the document has none.
        values: The score of every image for which it is defined.
    """

    key: str
    pooled: float | None
    mean: float | None
    deviation: float | None
    interval: tuple[float, float] | None
    values: tuple[float, ...]

    @property
    def name(self) -> str:
        """The name as a reader writes it."""
        return score_name(self.key)

    @property
    def n(self) -> int:
        """The number of images for which the score is defined."""
        return len(self.values)

    @property
    def bounded(self) -> bool:
        """Whether everything known of the score lies in 0..1, so that it can be drawn on that axis."""
        known = [*self.values, *(number for number in (self.pooled, self.mean) if number is not None)]
        return bool(known) and all(0 <= number <= 1 for number in known)

    @property
    def quantiles(self) -> tuple[float, float, float]:
        """Minimum, median and maximum over the images."""
        low, middle, high = np.quantile(self.values, [0, 0.5, 1]) if self.values else (0.0, 0.0, 0.0)
        return float(low), float(middle), float(high)


def _number(value: object) -> float | None:
    """A finite number, or None for null, NaN and what is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def per_image(document: Mapping[str, Any], key: str) -> dict[str, float | None]:
    """The score ``key`` of every image by name; None where it is not defined."""
    return {str(entry["image"]): _number(entry["scores"].get(key)) for entry in document.get("per_image", ())}


def score_rows(document: Mapping[str, Any]) -> tuple[ScoreRow, ...]:
    """One row per score of an evaluation document, in its order.

    Args:
        document: ``{"scores": {name: value}, "per_image": [{"image", "scores"}], "mean": {name: value},
            "intervals": {name: [low, high]}, ...}``; the last two may be missing.

    Raises:
        BadInput: The document has no scores.
    """
    pooled = document.get("scores")
    if not isinstance(pooled, Mapping):
        raise BadInput("evaluation", "no scores in the document", 'an entry "scores": {name: value}')
    means: Mapping[str, Any] = document.get("mean") or {}
    intervals: Mapping[str, Sequence[object]] = document.get("intervals") or {}
    rows = []
    for key, value in pooled.items():
        values = tuple(number for number in per_image(document, key).values() if number is not None)
        mean = _number(means.get(key))
        if mean is None and values:
            mean = float(np.mean(values))
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        ends = [_number(end) for end in intervals.get(key) or ()]
        interval = (ends[0], ends[1]) if len(ends) == 2 and ends[0] is not None and ends[1] is not None else None
        rows.append(ScoreRow(key, _number(value), mean, deviation, interval, values))
    return tuple(rows)


def primary_key(document: Mapping[str, Any], wished: str | None = None) -> str | None:
    """The score that images are ranked by: the wished one, else the first that the document has per image.

    Raises:
        BadInput: The document does not have the wished score.
    """
    keys = list(document.get("scores", {}))
    if wished is not None and wished not in keys:
        raise BadInput(f"score {wished!r}", "not in the evaluation", f"one of {', '.join(keys)}")
    if wished is not None:
        return wished
    ranked = (key for key in keys if any(number is not None for number in per_image(document, key).values()))
    return next(ranked, keys[0] if keys else None)
