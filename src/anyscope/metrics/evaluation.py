"""Scores of a set of images: pooled over all pixels or objects, and per image with their mean, spread and interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.metrics.contingency import AnyLabels
from anyscope.metrics.protocols.base import Counts, EvaluationProtocol
from anyscope.seeding import generator

RESAMPLES = 2000
_DRAWS_AT_ONCE = 1 << 22


class Pair(NamedTuple):
    """One image to score; a plain (name, reference, prediction) will do where the rest is not needed.

    ``valid`` are the pixels that are scored, None for all; the files are named where their labels cannot be scored.
    """

    name: str
    reference: AnyLabels
    prediction: AnyLabels
    voxel_size_nm: tuple[float | None, ...] | None = None
    probability: NDArray[np.floating] | None = None
    valid: AnyLabels | None = None
    reference_file: Path | None = None
    prediction_file: Path | None = None


@dataclass(frozen=True)
class Evaluation:
    """The scores of a set of images.

    Args:
        protocol: Name of the protocol.
        conventions: How its numbers are made.
        n: Number of images.
        n_empty: How many of them have no objects in reference and prediction; their scores are undefined, not 1.
        scores: Scores of the pooled counts.
        mean: Mean of each score over the images for which it is defined.
        spread: Standard deviation over these images (n - 1); NaN for fewer than two.
        intervals: 95 % bootstrap interval of the mean over these images; NaN for fewer than two.
        per_image: Scores of each image, in the order given.
    """

    protocol: str
    conventions: dict[str, str]
    n: int
    n_empty: int
    scores: dict[str, float]
    mean: dict[str, float]
    spread: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    per_image: tuple[tuple[str, dict[str, float]], ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data for a JSON document; undefined scores are None."""
        return {
            "protocol": self.protocol,
            "conventions": dict(self.conventions),
            "n": self.n,
            "n_empty": self.n_empty,
            "scores": _plain(self.scores),
            "mean": _plain(self.mean),
            "spread": _plain(self.spread),
            "intervals": {
                name: [low, high] if isfinite(low) and isfinite(high) else None
                for name, (low, high) in self.intervals.items()
            },
            "per_image": [{"image": image, "scores": _plain(scores)} for image, scores in self.per_image],
        }


def evaluate_pairs(
    protocol: EvaluationProtocol,
    pairs: Iterable[Pair | tuple[str, AnyLabels, AnyLabels]],
    seed: int = 0,
    *,
    objects: str = "",
) -> Evaluation:
    """Score predictions image by image; only one pair need be in memory at a time.

    Args:
        protocol: How to score, from :data:`anyscope.metrics.PROTOCOLS`.
        pairs: For each image its name, reference and prediction, or a :class:`Pair`.
        seed: Seed of the bootstrap.
        objects: How objects were made of references that are masks; said beside the protocol's conventions.

    Raises:
        BadInput: There is no image, or one cannot be scored; the message names it.
    """
    counts = []
    for each in pairs:
        pair = Pair(*each)
        try:
            counts.append((pair.name, protocol.measure(*pair[1:6])))
        except BadInput as error:
            files = {"reference labels": pair.reference_file, "predicted labels": pair.prediction_file}
            subject = files.get(error.subject) or pair.name
            raise BadInput(subject, f"{error.subject}: {error.found}", error.expected, error.remedy) from error
    found = evaluate_counts(protocol, counts, seed)
    stated = {"objects of the reference": objects, **found.conventions} if objects else found.conventions
    return replace(found, conventions=stated)


def evaluate_counts(protocol: EvaluationProtocol, counts: Sequence[tuple[str, Counts]], seed: int = 0) -> Evaluation:
    """The same from counts that were measured before; arguments as in :func:`evaluate_pairs`."""
    if not counts:
        raise BadInput("evaluation", "no images", "at least one pair of reference and prediction")
    pooled = protocol.pool([one for _, one in counts])
    scores = protocol.scores(pooled)
    per_image = tuple((name, protocol.scores(one)) for name, one in counts)
    mean, spread, intervals = {}, {}, {}
    for name in scores:
        values = np.array([image.get(name, nan) for _, image in per_image])
        values = values[np.isfinite(values)]
        mean[name] = float(values.mean()) if values.size else nan
        spread[name] = float(values.std(ddof=1)) if values.size > 1 else nan
        intervals[name] = bootstrap_interval(values, generator(seed, "bootstrap", name))
    return Evaluation(
        protocol=protocol.name,
        conventions=protocol.conventions_of(pooled),
        n=pooled.images,
        n_empty=pooled.empty,
        scores=scores,
        mean=mean,
        spread=spread,
        intervals=intervals,
        per_image=per_image,
    )


def bootstrap_interval(
    values: NDArray[np.float64], rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % percentile interval of the mean of ``values`` (n,) over resampled sets of n; NaN for fewer than two.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    if values.size < 2:
        return nan, nan
    at_once = max(1, _DRAWS_AT_ONCE // values.size)
    means = [
        values[rng.integers(values.size, size=(min(at_once, resamples - done), values.size))].mean(axis=1)
        for done in range(0, resamples, at_once)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def _plain(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: float(value) if isfinite(value) else None for name, value in scores.items()}
