from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.reports.selection import choose


def test_groups_by_hand() -> None:
    scores = {"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.7, "e": 0.3, "f": 0.6, "g": 0.2}
    chosen = [(choice.name, choice.group, choice.rank, choice.of) for choice in choose(scores, 2)]
    assert chosen == [
        ("b", "worst", 7, 7),
        ("g", "worst", 6, 7),
        ("e", "median", 5, 7),
        ("c", "median", 4, 7),
        ("d", "best", 2, 7),
        ("a", "best", 1, 7),
    ]


def test_lower_is_better() -> None:
    assert [choice.name for choice in choose({"near": 1.0, "far": 9.0, "mid": 4.0}, higher_is_better=False)] == [
        "far",
        "mid",
        "near",
    ]


def test_undefined_scores_are_not_ranked() -> None:
    assert [choice.name for choice in choose({"a": None, "b": math.nan, "c": 0.2})] == ["c"]
    assert choose({}) == ()


def test_no_places() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        choose({"a": 1.0}, 0)


@given(
    st.dictionaries(st.text(max_size=3), st.none() | st.floats(-2, 2), max_size=30),
    st.integers(1, 5),
    st.booleans(),
)
def test_properties(scores: dict[str, float | None], per_group: int, higher: bool) -> None:
    chosen = choose(scores, per_group, higher)
    names = [choice.name for choice in chosen]
    ranked = {name for name, value in scores.items() if value is not None}
    assert len(set(names)) == len(names)
    assert len(names) == min(len(ranked), 3 * per_group)
    assert set(names) <= ranked
    assert [choice.rank for choice in chosen] == sorted((choice.rank for choice in chosen), reverse=True)
    assert chosen == choose(dict(reversed(scores.items())), per_group, higher)
    sign = 1 if higher else -1
    if chosen:
        assert sign * chosen[0].score == min(sign * scores[name] for name in ranked)  # type: ignore[operator]
        assert chosen[0].group == "worst"
