"""Fourier domain adaptation against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.adaptation.fda import Fourier, FourierStyle, swap_amplitudes
from anyscope.seeding import generator


def patch(seed, shape=(1, 32, 40), low=0.0, high=1.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def low_frequencies(shape, reach):
    centred = np.zeros(shape, bool)
    y, x = shape[0] // 2, shape[1] // 2
    centred[y - reach : y + reach + 1, x - reach : x + reach + 1] = True
    return np.fft.ifftshift(centred)


@given(st.sampled_from([(1, 32, 40), (3, 17, 21), (1, 9, 64)]), st.floats(0.03, 0.45))
def test_amplitudes_are_swapped_in_the_window_and_phases_kept(shape, beta):
    image, other = patch(1, shape), patch(2, shape, 0.2, 0.6)
    found = np.fft.fft2(swap_amplitudes(image, other, beta).astype(np.float64))
    own, theirs = np.fft.fft2(image.astype(np.float64)), np.fft.fft2(other.astype(np.float64))
    low = low_frequencies(shape[1:], int(beta * min(shape[1:])))
    assert np.abs(found)[..., low] == pytest.approx(np.abs(theirs)[..., low], abs=1e-3)
    assert np.abs(found)[..., ~low] == pytest.approx(np.abs(own)[..., ~low], abs=1e-3)
    turned = np.abs(np.angle(found * own.conj()))
    assert turned[np.abs(own) * np.abs(found) > 0.01].max() < 0.02


def test_beta_0_is_identity():
    image = patch(1)
    assert np.array_equal(swap_amplitudes(image, patch(2), 0), image)


def test_a_small_window_swaps_the_mean_alone():
    image, other = patch(1), patch(2, low=0.5)
    found = swap_amplitudes(image, other, 0.01)
    assert found == pytest.approx(image - image.mean() + other.mean(), abs=1e-6)


def test_an_image_swapped_with_itself_stays():
    image = patch(3)
    assert swap_amplitudes(image, image, 0.2) == pytest.approx(image, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_constant_images(value):
    constant = np.full((1, 16, 16), value, np.float32)
    assert np.isfinite(swap_amplitudes(constant, patch(1, (1, 16, 16)), 0.1)).all()
    assert np.isfinite(swap_amplitudes(patch(1, (1, 16, 16)), constant, 0.1)).all()


@pytest.fixture
def work(make_work):
    """Grey levels are those of 8 bits, so that the domains differ in brightness."""
    return make_work(intensity="dtype")


class TestStyle:
    def test_patches_are_darker_as_the_target_is_and_stay_in_range(self, work):
        style = Fourier(beta=0.05).run(work).styles[0]
        image = work.source_patches("x").sampler.draw(0).image
        target = work.target_patches("x").sampler.planes.plane(0, 0).image
        changed = [style.patch(0, image, generator(0, number)) for number in range(4)]
        assert all(each.shape == image.shape and each.dtype == np.float32 for each in changed)
        assert min(each.min() for each in changed) >= 0
        assert max(each.max() for each in changed) <= 1
        assert np.mean(changed) == pytest.approx(target.mean(), abs=0.08)

    def test_the_generator_alone_decides(self, work):
        style = Fourier(beta=0.05).run(work).styles[0]
        image = patch(1, (1, 20, 28))
        one, same, other = (style.patch(0, image, generator(0, number)) for number in (1, 1, 2))
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_it_is_clipped(self, work):
        style = FourierStyle(work.target_patches("x").sampler, 0.3)
        assert style.patch(0, np.ones((1, 24, 24), np.float32), generator(0)).max() <= 1

    def test_a_target_smaller_than_a_patch(self, work):
        style = Fourier(beta=0.1).run(work).styles[0]
        image = patch(1, (1, 300, 260))
        assert style.patch(0, image, generator(0)).shape == image.shape
