import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.metrics import PROTOCOLS
from anyscope.training.loop import Best

numbers = st.floats(0.01, 100)
STACK = [
    (4.23, 0.563), (2.33, 0.495), (1.48, 0.381), (1.12, 0.480), (1.02, 0.483), (0.977, 0.426),
    (0.919, 0.481), (0.897, 0.487), (0.889, 0.480), (0.884, 0.479), (0.874, 0.484), (0.870, 0.493),
]  # fmt: skip
"""Validation loss and Adapted Rand error in 3D of twelve epochs on twenty slices of neurites."""


def kept(epochs, *, steady):
    best = Best()
    for number, (loss, error) in enumerate(epochs, 1):
        now = Best(number, error, -error, loss)
        if now.beats(best, steady=steady):
            best = now
    return best.epoch


def test_a_lucky_epoch_of_a_network_that_has_hardly_learned_is_not_kept():
    assert kept(STACK, steady=True) == 3
    assert kept(STACK, steady=False) == 10


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12))
def test_a_steady_score_alone_decides(epochs):
    errors = [error for _, error in epochs]
    assert kept(epochs, steady=True) == 1 + errors.index(min(errors))


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12))
def test_no_step_of_an_unsteady_choice_goes_to_a_clearly_higher_loss(epochs):
    chain = [Best()]
    for number, (loss, error) in enumerate(epochs, 1):
        now = Best(number, error, -error, loss)
        if now.beats(chain[-1], steady=False):
            chain.append(now)
    assert all(after.loss <= before.loss / 0.95 * (1 + 1e-9) for before, after in pairwise(chain[1:]))


def test_where_losses_are_near_the_score_decides():
    standing = Best(1, 0.5, -0.5, 1.0)
    assert Best(2, 0.4, -0.4, 1.03).beats(standing, steady=False)
    assert not Best(2, 0.6, -0.6, 0.97).beats(standing, steady=False)


def test_an_undefined_score_is_kept_over_none_only_where_the_loss_says_so():
    standing = Best(1, math.nan, -math.inf, 1.0)
    assert Best(2, math.nan, -math.inf, 0.9).beats(standing, steady=False)
    assert not Best(2, math.nan, -math.inf, 0.9).beats(standing, steady=True)


def test_without_a_validation_part_the_last_epoch_is_kept():
    assert Best(2, 2.0, 2.0).beats(Best(1, 1.0, 1.0), steady=True)


def test_state_comes_back():
    best = Best(4, 0.3, -0.3, 0.9)
    again = Best()
    again.load_state_dict(best.state_dict())
    assert again == best


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_scores_of_partitions_are_not_steady(name):
    partitions = {"snemi3d", "cremi", "isbi2012", "neurites", "neurites_2d"}
    assert PROTOCOLS[name].steady == (name not in partitions)
