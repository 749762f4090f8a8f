"""Recovered gap and regret, against numbers worked by hand."""

from __future__ import annotations

import pytest

from anyscope.crossings.plan import CEILING, FLOOR, CrossCell
from anyscope.crossings.summary import Recovery, results_of, score_by, summarise
from anyscope.running.ledger import Cell

RULES = ("source-validation", "combined")


def result(*pooled, source=0, combined=0, per_slice=None):
    return {
        "pooled": list(pooled),
        "per_slice": list(per_slice or pooled),
        "choices": {"source-validation": source, "combined": combined},
    }


@pytest.fixture
def results():
    """Two datasets: a -> b has a gap of .4 of which combined recovers .1, b -> a one of .2 of which it loses .05."""
    return {
        CrossCell("a", "a", CEILING, 0): result(0.7, 0.8, source=1),
        CrossCell("b", "b", CEILING, 0): result(0.9, 0.6, source=0),
        CrossCell("a", "b", FLOOR, 0): result(0.3, 0.5, source=1, combined=0),
        CrossCell("b", "a", FLOOR, 0): result(0.6, 0.6),
        CrossCell("a", "b", "m", 0): result(0.4, 0.6, 0.65, source=0, combined=1),
        CrossCell("b", "a", "m", 0): result(0.55, 0.7),
    }


def recovery(summary, method, rule, measure="pooled") -> Recovery:
    (found,) = [one for one in summary.recoveries if (one.method, one.rule, one.measure) == (method, rule, measure)]
    return found


def test_recovered_gap_is_the_sum_of_gains_over_the_sum_of_gaps(results):
    summary = summarise(results, (FLOOR, "m"), RULES)
    found = recovery(summary, "m", "combined")
    assert found.recovered == pytest.approx(((0.6 - 0.5) + (0.55 - 0.6)) / ((0.9 - 0.5) + (0.8 - 0.6)))
    assert (found.worst, found.worst_pair) == (pytest.approx(-0.05), "b -> a")
    assert found.regret == pytest.approx(((0.65 - 0.6) + (0.7 - 0.55)) / 2)
    assert found.pairs == 2
    oracle = recovery(summary, "m", "oracle")
    assert oracle.recovered == pytest.approx((0.15 + 0.1) / 0.6)
    assert oracle.regret == 0


def test_the_floor_recovers_nothing_by_its_own_rule(results):
    assert recovery(summarise(results, (FLOOR,), RULES), FLOOR, "source-validation").recovered == pytest.approx(0)


def test_pairs_with_a_small_gap_are_listed_apart(results):
    results[CrossCell("a", "a", CEILING, 0)] = result(0.63)
    found = recovery(summarise(results, ("m",), RULES), "m", "combined")
    assert found.small == ("b -> a",)
    assert found.recovered == pytest.approx(0.1 / 0.4)
    assert found.worst_pair == "b -> a"  # it still counts as harm


def test_seeds_are_compared_with_their_own_floor(results):
    for cell, value in list(results.items()):
        shifted = {**value, "pooled": [score + 0.05 for score in value["pooled"]]}
        results[cell._replace(seed=1)] = shifted
    summary = summarise(results, ("m",), RULES)
    assert recovery(summary, "m", "combined").recovered == pytest.approx(0.05 / 0.6)
    (one,) = [s for s in summary.scores if (s.source, s.rule, s.measure) == ("a", "combined", "pooled")]
    assert (one.mean, one.seeds) == (pytest.approx(0.625), 2)
    assert one.deviation == pytest.approx(0.05 / 2**0.5)


def test_pairs_without_floor_or_ceiling_take_no_part(results):
    del results[CrossCell("b", "a", FLOOR, 0)]
    found = recovery(summarise(results, ("m",), RULES), "m", "combined")
    assert (found.pairs, found.worst_pair) == (1, "a -> b")


def test_undefined_scores_count_as_nothing():
    assert score_by(result(None, 0.4, source=0), "source-validation", "pooled") == 0
    assert score_by(result(None, 0.4), "oracle", "pooled") == 0.4


def test_results_are_read_from_the_ledger_without_failures():
    cells = [Cell(("a", "b", "m", "3"), result(0.5)), Cell(("b", "a", "m", "3"), failure="why")]
    assert list(results_of(cells)) == [CrossCell("a", "b", "m", 3)]
