"""What the cells of a crossing say: scores of each method on each pair, the recovered gap, the regret of selection."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from anyscope.crossings.plan import CEILING, FLOOR, CrossCell
from anyscope.running.ledger import Cell

SMALL_GAP = 0.05
"""Pairs between floor and ceiling so close have nothing to recover and are listed apart."""
FLOOR_RULE = "source-validation"
"""How the floor and the ceiling are chosen: what one does who does not think of another domain."""
MEASURES = ("pooled", "per_slice")
ORACLE = "oracle"


@dataclass(frozen=True)
class PairScore:
    """One method on one pair, over the seeds.

    Args:
        source, target, method: What it is.
        rule: How the candidate was chosen; ``oracle`` is the best on the target's labels.
        measure: ``pooled`` over all pixels, or ``per_slice``, the mean over slices.
        mean: Mean over the seeds.
        deviation: Standard deviation over the seeds; None for a single one.
        seeds: How many.
    """

    source: str
    target: str
    method: str
    rule: str
    measure: str
    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class Recovery:
    """How much of what could be gained a method gained, over the pairs.

    Args:
        method, rule, measure: As in :class:`PairScore`.
        recovered: Sum of gains over sum of gaps, of the pairs with a gap worth the name; None without such pairs.
        pairs: How many these are.
        small: Pairs with a smaller gap, as ``source -> target``.
        worst: The least gain over all pairs.
        worst_pair: Where it is.
        regret: Mean over pairs and seeds of the best candidate's score minus that of the chosen one.
    """

    method: str
    rule: str
    measure: str
    recovered: float | None
    pairs: int
    small: tuple[str, ...]
    worst: float
    worst_pair: str
    regret: float


@dataclass(frozen=True)
class Summary:
    """All scores of a crossing."""

    scores: tuple[PairScore, ...]
    recoveries: tuple[Recovery, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {key: [asdict(one) for one in getattr(self, key)] for key in ("scores", "recoveries")}


Results = Mapping[CrossCell, Mapping[str, Any]]


def results_of(cells: Iterable[Cell]) -> dict[CrossCell, Mapping[str, Any]]:
    """The results of the cells that have one."""
    found = {}
    for cell in cells:
        source, target, method, seed = cell.key
        if cell.result is not None:
            found[CrossCell(source, target, method, int(seed))] = cell.result
    return found


def methods_of(names: Iterable[str]) -> tuple[str, ...]:
    """Each method once, in the order of the names, but the floor first and the ceiling not at all."""
    return tuple(dict.fromkeys((FLOOR, *(name for name in names if name != CEILING))))


def score_by(result: Mapping[str, Any], rule: str, measure: str) -> float:
    """Score of the candidate that a rule chose; undefined ones count as 0."""
    values = [0.0 if value is None else float(value) for value in result[measure]]
    return max(values) if rule == ORACLE else values[result["choices"][rule]]


def summarise(results: Results, methods: Sequence[str], rules: Sequence[str]) -> Summary:
    """Summarise what is there; pairs that lack the floor or the ceiling take no part in recoveries.

    Args:
        results: Results by cell.
        methods: Methods in the order in which they are listed.
        rules: Selection rules; ``oracle`` is added.
    """
    scores = [
        one
        for measure in MEASURES
        for method in methods
        for rule in (*rules, ORACLE)
        for one in _pair_scores(results, method, rule, measure)
    ]
    recoveries = []
    for measure in MEASURES:
        for method in methods:
            for rule in (*rules, ORACLE):
                found = _recovery(results, method, rule, measure)
                if found is not None:
                    recoveries.append(found)
    return Summary(tuple(scores), tuple(recoveries))


def _pair_scores(results: Results, method: str, rule: str, measure: str) -> list[PairScore]:
    pairs: dict[tuple[str, str], list[float]] = {}
    for cell, result in results.items():
        if cell.method == method:
            pairs.setdefault((cell.source, cell.target), []).append(score_by(result, rule, measure))
    return [
        PairScore(
            source, target, method, rule, measure, statistics.fmean(values),
            statistics.stdev(values) if len(values) > 1 else None, len(values),
        )
        for (source, target), values in pairs.items()
    ]  # fmt: skip


def _recovery(results: Results, method: str, rule: str, measure: str) -> Recovery | None:
    """Gains are between cells of the same seed, so that the luck of a training is in both."""
    gains: dict[tuple[str, str], list[float]] = {}
    gaps: dict[tuple[str, str], list[float]] = {}
    regrets = []
    for cell, result in results.items():
        floor = results.get(CrossCell(cell.source, cell.target, FLOOR, cell.seed))
        ceiling = results.get(CrossCell(cell.target, cell.target, CEILING, cell.seed))
        if cell.method != method or floor is None or ceiling is None:
            continue
        low, high = score_by(floor, FLOOR_RULE, measure), score_by(ceiling, FLOOR_RULE, measure)
        pair, found = (cell.source, cell.target), score_by(result, rule, measure)
        gains.setdefault(pair, []).append(found - low)
        gaps.setdefault(pair, []).append(high - low)
        regrets.append(score_by(result, ORACLE, measure) - found)
    if not gains:
        return None
    gain = {pair: statistics.fmean(values) for pair, values in gains.items()}
    gap = {pair: statistics.fmean(values) for pair, values in gaps.items()}
    large = [pair for pair in gain if gap[pair] >= SMALL_GAP]
    small = tuple(f"{source} -> {target}" for source, target in gain if gap[source, target] < SMALL_GAP)
    total = sum(gap[pair] for pair in large)
    worst = min(gain, key=lambda pair: gain[pair])
    return Recovery(
        method, rule, measure, sum(gain[pair] for pair in large) / total if large else None, len(large), small,
        gain[worst], f"{worst[0]} -> {worst[1]}", statistics.fmean(regrets),
    )  # fmt: skip
