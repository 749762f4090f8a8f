"""Distances between sets of images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, ndimage

from anyscope.errors import BadInput
from anyscope.synthesis.realism import compare_sets, filter_statistics, frechet_distance


def test_frechet_agrees_with_the_definition():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(50, 4)), random.normal(size=(60, 4)) * [1, 2, 3, 4] + [0, 1, 0, 0]
    c1, c2 = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    wanted = np.sum((one.mean(0) - other.mean(0)) ** 2) + np.trace(c1 + c2 - 2 * linalg.sqrtm(c1 @ c2).real)
    assert frechet_distance(one, other) == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-8)
    # two Gaussians of one dimension: (m1 - m2)^2 + (s1 - s2)^2
    line = np.array([[-1.0], [1.0]])
    assert frechet_distance(line, 3 * line + 5) == pytest.approx(25 + (3 * 2**0.5 - 2**0.5) ** 2)


def images(seed, sigma=1.5, count=20):
    random = np.random.default_rng(seed)
    made = [ndimage.gaussian_filter(random.random((96, 96)), sigma) for _ in range(count)]
    return [((each - each.min()) / np.ptp(each)).astype(np.float32) for each in made]


def test_the_same_kind_is_as_near_as_chance_and_a_blur_is_not():
    alike = compare_sets(images(0, count=40), images(1, count=40), np.random.default_rng(0))
    blurred = compare_sets(images(0, 3.0, 40), images(1, count=40), np.random.default_rng(0))
    assert alike.features < 2 * alike.chance
    assert blurred.features > 10 * alike.features
    assert blurred.spectrum > 5 * alike.spectrum
    assert alike.crops == (40, 40)


def test_statistics_do_not_depend_on_place():
    plane = images(3, count=1)[0]
    shifted = np.roll(plane, (10, 20), axis=(0, 1))
    assert filter_statistics(shifted) == pytest.approx(filter_statistics(plane), abs=0.2)


def test_too_few_are_refused():
    with pytest.raises(BadInput, match="3 crops"):
        compare_sets(images(0, count=3), images(1), np.random.default_rng(0))
