"""Poisson numbers against the distribution itself."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, poisson

from anyscope.corruptions.counting import poisson_like, poisson_numbers


def agrees(drawn: np.ndarray, shares: np.ndarray) -> bool:
    """Whether counts 0, 1, ... came about with these shares; rare ones are taken together."""
    observed, expected = np.bincount(drawn.astype(int), minlength=len(shares)), shares * drawn.size
    if len(observed) > len(shares):
        return False
    order = np.argsort(expected)
    bins = np.minimum(np.cumsum(expected[order]) // 20, 10_000).astype(int)
    _, bins = np.unique(bins, return_inverse=True)
    seen, wanted = np.bincount(bins, observed[order]), np.bincount(bins, expected[order])
    return chisquare(seen, wanted * seen.sum() / wanted.sum()).pvalue > 1e-4


@pytest.mark.parametrize("rate", [0.003, 0.05, 1 / 16, 0.7, 3.03, 9.99, 31.0, 63.95, 64.0, 70.0, 1000.0])
def test_numbers_of_one_rate(rate):
    drawn = poisson_numbers(torch.full((400, 500), rate), torch.Generator().manual_seed(5)).numpy().ravel()
    assert agrees(drawn, poisson(rate).pmf(np.arange(int(rate + 12 * rate**0.5) + 12)))


def test_without_light_nothing_is_counted():
    assert not poisson_numbers(torch.zeros(300, 300), torch.Generator().manual_seed(5)).any()


def test_numbers_of_many_rates():
    """Every pixel has a rate of its own; 2 of 100 are too bright for the table."""
    rates = torch.linspace(0.01, 65, 300_000)[torch.randperm(300_000, generator=torch.Generator().manual_seed(0))]
    drawn = poisson_numbers(rates, torch.Generator().manual_seed(1)).numpy()
    expected = np.zeros(180)
    for part in np.array_split(rates.double().numpy(), 30):
        expected += poisson.pmf(np.arange(180), part[:, None]).sum(axis=0)
    assert agrees(drawn, expected / rates.numel())
    scaled = (drawn - rates.numpy()) / np.sqrt(rates.numpy())
    assert scaled.mean() == pytest.approx(0, abs=5 / rates.numel() ** 0.5)
    assert scaled.var() == pytest.approx(1, abs=0.03)


def test_pixels_do_not_know_of_each_other():
    drawn = poisson_numbers(torch.full((600, 600), 5.04), torch.Generator().manual_seed(2)).numpy()
    for moved in (drawn[:, 1:], drawn[1:]):
        kept = drawn[: moved.shape[0], : moved.shape[1]]
        assert abs(np.corrcoef(kept.ravel(), moved.ravel())[0, 1]) < 0.01


def test_an_image_gets_what_its_seed_gives():
    rates = torch.rand(2, 1, 1, 40, 50, generator=torch.Generator().manual_seed(3)) * 90
    both = poisson_like(rates, [7, 8], "test")
    assert torch.equal(both[1:], poisson_like(rates[1:], [8], "test"))
    assert not torch.equal(both[:1], poisson_like(rates[:1], [8], "test"))
