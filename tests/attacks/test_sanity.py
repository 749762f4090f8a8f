from __future__ import annotations

import doctest

import pytest

from anyscope.attacks import check_attack, sanity
from anyscope.errors import BadInput

GOOD = {1 / 255: 0.8, 4 / 255: 0.4, 32 / 255: 0.01}
NOISE = {1 / 255: 0.9, 4 / 255: 0.88, 32 / 255: 0.6}


def test_doctests():
    assert doctest.testmod(sanity).failed == 0


def test_a_good_attack_has_no_warning():
    transfer = {epsilon: score + 0.1 for epsilon, score in GOOD.items()}
    assert check_attack(GOOD, 0.9, NOISE, {1: 0.6, 10: 0.41, 40: 0.4}, transfer) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"scores_by_epsilon": GOOD | {8 / 255: 0.5}},
            "rises from 0.40 to 0.50 where epsilon rises from 0.0157 (4/255)",
        ),
        ({"scores_by_epsilon": GOOD | {1 / 255: 0.95}}, "rises from 0.90 to 0.95 where epsilon rises from 0 (0/255)"),
        ({"scores_by_steps": {10: 0.4, 40: 0.5}}, "from 0.40 with 10 steps to 0.50 with 40"),
        ({"scores_by_epsilon": GOOD | {32 / 255: 0.2}}, "still leaves a score of 0.20 of 0.90"),
        ({"control_by_epsilon": NOISE | {4 / 255: 0.41}}, "random noise of the same size leaves 0.41, the attack 0.40"),
        ({"transfer_by_epsilon": {4 / 255: 0.3}}, "made for another network leave 0.30, its own 0.40"),
    ],
)
def test_each_sign_of_failure(changes, words):
    arguments = {"scores_by_epsilon": GOOD, "clean": 0.9, "control_by_epsilon": NOISE} | changes
    (warning,) = check_attack(**arguments)
    assert words in warning


def test_differences_by_chance_are_no_sign():
    assert check_attack(GOOD | {8 / 255: 0.41}, 0.9, NOISE, {10: 0.4, 40: 0.41}, {4 / 255: 0.39}) == ()


def test_noise_that_breaks_nothing_or_all_is_no_sign():
    assert check_attack({0.001: 0.89}, 0.9, {0.001: 0.89}) == ()
    assert check_attack({0.5: 0.0}, 0.9, {0.5: 0.0}) == ()


def test_radii_of_another_norm():
    assert check_attack({0.5: 0.6}, 0.9, {0.5: 0.9}, large_epsilon=5) == ()
    assert len(check_attack({0.5: 0.6}, 0.9, {0.5: 0.9})) == 1


@pytest.mark.parametrize("scores", [{}, {0.1: 1.2}, {0.1: float("nan")}])
def test_scores_that_are_none(scores):
    with pytest.raises(BadInput, match="scores"):
        check_attack(scores, 0.9, {})
