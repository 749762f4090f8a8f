"""Estimators of appearance on images whose noise, blur, spectrum and padding are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import gaussian_filter
from scipy.stats import wasserstein_distance

from anyscope.adaptation.appearance import (
    band_periods_px,
    detail_length_px,
    histogram_distance,
    measure_appearance,
    noise_level,
    padding,
    radial_spectrum,
    spectral_slope,
    spectrum_distance,
)
from anyscope.adaptation.histogram import count_levels


def texture(seed, sigma_px, shape=(256, 300), contrast=0.15):
    """White noise blurred to detail of a known length."""
    plane = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma_px)
    return 0.5 + contrast * plane / plane.std()


def with_noise(plane, sigma, seed=9):
    return plane + np.random.default_rng(seed).normal(0, sigma, plane.shape)


def power_law(seed, exponent, size=512):
    """A plane whose power falls as frequency ** exponent."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(np.random.default_rng(seed).standard_normal((size, size)))
    plane = np.fft.ifft2(spectrum * frequency ** (exponent / 2)).real
    return 0.5 + 0.1 * plane / plane.std()


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("plane", [np.full((200, 210), 0.5), texture(1, 4.0), texture(2, 8.0)])
def test_known_noise(plane, sigma):
    assert noise_level(with_noise(plane, sigma)) == pytest.approx(sigma, rel=0.06)


def test_edges_are_not_noise():
    steps = np.kron(np.random.default_rng(0).random((8, 8)), np.ones((30, 30)))
    assert noise_level(steps) == 0
    assert noise_level(with_noise(steps, 0.02)) == pytest.approx(0.02, rel=0.06)


@pytest.mark.parametrize("sigma_px", [1.0, 1.5, 2.5, 4.0])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_known_blur_with_and_without_noise(sigma_px, noise):
    plane = with_noise(texture(3, sigma_px), noise)
    assert detail_length_px(plane) == pytest.approx(sigma_px, rel=0.1)


@pytest.mark.parametrize("exponent", [-1.0, -2.0, -3.0])
def test_known_power_law(exponent):
    found = radial_spectrum(power_law(4, exponent))
    assert spectral_slope(found) == pytest.approx(exponent, abs=0.2)


def test_a_spectrum_does_not_know_contrast_or_brightness():
    plane = texture(5, 2.0)
    assert radial_spectrum(0.3 * plane + 0.2) == pytest.approx(radial_spectrum(plane), abs=1e-9)


def test_a_sine_is_in_the_band_of_its_period():
    wave = np.broadcast_to(np.sin(2 * np.pi * np.arange(256) / 8.0), (256, 256))
    edges = band_periods_px()
    place = int(np.nanargmax(radial_spectrum(wave)))
    assert edges[place + 1] <= 8.0 <= edges[place]


def test_padding_is_black_and_at_the_border():
    plane = np.pad(texture(6, 2.0, (80, 90)), 20)
    plane[50:60, 50:60] = 0  # black, but inside
    plane[30, 0] = 0
    found = padding(plane)
    assert found.sum() == plane.size - 80 * 90
    assert not padding(texture(6, 2.0)).any()
    assert padding(np.zeros((10, 10))).all()
    assert not padding(np.zeros((5, 5))).any()


def test_padding_changes_nothing_of_the_rest():
    inner = with_noise(texture(7, 2.0), 0.03).clip(0.01, 1)
    plain = measure_appearance([inner[None].astype(np.float32)])
    padded = measure_appearance([np.pad(inner, 40)[None].astype(np.float32)])
    assert padded.padding == pytest.approx(1 - inner.size / np.pad(inner, 40).size)
    assert plain.padding == 0
    for name in ("mean", "contrast"):
        assert getattr(padded, name) == pytest.approx(getattr(plain, name), rel=1e-5)
    assert padded.noise == pytest.approx(plain.noise, rel=0.01)
    assert padded.detail_px == pytest.approx(plain.detail_px, rel=0.01)
    assert padded.levels == pytest.approx(plain.levels, abs=1e-12)
    assert spectrum_distance(padded.spectrum, plain.spectrum) < 0.2


def test_histogram_distance_is_wasserstein():
    one, other = texture(1, 2.0, contrast=0.1), texture(2, 2.0, contrast=0.2) + 0.1
    counts = [count_levels([each[None].astype(np.float32)]) for each in (one, other)]
    levels = np.arange(256) / 255
    expected = wasserstein_distance(levels, levels, *(each[0] for each in counts))
    assert histogram_distance(*counts) == pytest.approx(expected)
    assert histogram_distance(counts[0], counts[0]) == 0
    black, white = (count_levels([np.full((1, 4, 4), value, np.float32)]) for value in (0, 1))
    assert histogram_distance(black, white) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (3, 3), (40, 40)])
@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_constant_and_tiny_planes_have_stated_results(shape, value):
    found = measure_appearance([np.full((1, *shape), value, np.float32)])
    assert found.contrast == 0
    assert found.detail_px is found.slope is None
    assert np.isnan(found.spectrum).all()
    assert found.noise in (None, 0.0)
    assert found.padding == (1 if value == 0 and shape == (40, 40) else 0)


def test_pure_noise_has_no_detail():
    found = detail_length_px(np.random.default_rng(0).normal(0.5, 0.1, (400, 400)))
    assert found is None or found < 0.8


@given(arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=12), elements=st.floats(0, 1, width=32)))
def test_any_image_gives_finite_numbers(image):
    found = measure_appearance([image])
    for value in (found.mean, found.contrast, found.padding, found.noise, found.detail_px, found.slope):
        assert value is None or np.isfinite(value)
    assert not np.isinf(found.spectrum).any()
    assert found.levels.sum(axis=1) == pytest.approx(np.where(found.levels.any(axis=1), 1, 0))
