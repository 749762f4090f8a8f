from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from anyscope.adaptation.descent import Descent, Rates


def descent(rates: Rates, total: int = 100, size: int = 3):
    parameter = nn.Parameter(torch.ones(size))
    return parameter, Descent([parameter], rates, total)


def rates_of(steps: Descent, parameter: nn.Parameter, count: int) -> list[float]:
    rates = []
    for _ in range(count):
        rates.append(steps.learning_rate)
        steps.step((parameter**2).sum())
    return rates


@pytest.mark.parametrize("total", [10, 100, 333])
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_one_cycle_begins_at_a_25th_peaks_at_30_percent_and_ends_at_nearly_nothing(total, optimiser):
    parameter, steps = descent(Rates(optimiser, 5e-4, "onecycle"), total)
    rates = rates_of(steps, parameter, total)
    peak = 0.3 * total - 1
    assert rates[0] == pytest.approx(5e-4 / 25)
    assert rates[-1] == pytest.approx(5e-4 / 25e4)
    assert abs(max(range(total), key=rates.__getitem__) - peak) <= 1
    for number, rate in enumerate(rates):  # the two halves of a cosine, written out
        if number <= peak:
            expected = 5e-4 + (5e-4 / 25 - 5e-4) * (1 + math.cos(math.pi * number / peak)) / 2
        else:
            share = (number - peak) / (total - 1 - peak)
            expected = 5e-4 / 25e4 + (5e-4 - 5e-4 / 25e4) * (1 + math.cos(math.pi * share)) / 2
        assert rate == pytest.approx(expected)


def test_plateau_halves_after_its_patience_and_stops_at_a_tenth():
    _, steps = descent(Rates("sgd", 1e-3, "plateau", momentum=0.99, patience=2))
    steps.end_epoch(1.0)
    found = []
    for _ in range(15):
        steps.end_epoch(1.0)
        found.append(steps.learning_rate)
    assert found[:6] == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 5e-4, 2.5e-4])
    assert found[-1] == pytest.approx(1e-4)


def test_steps_fall_to_nine_tenths():
    parameter, steps = descent(Rates("adam", 1.0, "steps", decay_steps=3))
    assert rates_of(steps, parameter, 7) == pytest.approx([1, 1, 1, 0.9, 0.9, 0.9, 0.81])


def test_momentum_of_sgd_worked_by_hand():
    parameter, steps = descent(Rates("sgd", 0.1, "constant", momentum=0.99), size=1)
    value, speed = 1.0, 0.0
    for _ in range(5):
        steps.step((parameter**2).sum())
        speed = 0.99 * speed + 2 * value
        value -= 0.1 * speed
    assert parameter.item() == pytest.approx(value, rel=1e-5)


def test_a_clipped_step_is_as_long_as_the_limit():
    parameter, steps = descent(Rates("sgd", 1.0, "constant", momentum=0.0, clip_norm=0.5))
    before = parameter.detach().clone()
    steps.step((parameter**2).sum() * 100)
    assert (parameter - before).norm().item() == pytest.approx(0.5, rel=1e-4)


def test_frozen_parameters_are_left_out():
    kept, moved = nn.Parameter(torch.ones(2), requires_grad=False), nn.Parameter(torch.ones(2))
    Descent([kept, moved], Rates("adam", 0.1, "constant"), 1).step(((kept + moved) ** 2).sum())
    assert torch.equal(kept, torch.ones(2))
    assert not torch.equal(moved, torch.ones(2))
