"""Convolution, haze, illumination, bleaching, bleed-through."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from anyscope.microscope import Optics, point_spread
from anyscope.microscope.optics import bleed_through, convolve, haze, illuminate, illumination_profile, photobleach


def test_convolution_agrees_with_the_direct_sum_and_keeps_the_light() -> None:
    signal = np.random.default_rng(0).random((50, 71), dtype=np.float32)
    kernel = point_spread(Optics(psf="pupil", coma_waves=0.1, pixel_size_nm=120))[10:-10, 10:-10]
    direct = scipy.ndimage.convolve(signal, kernel, mode="reflect")
    np.testing.assert_allclose(convolve(signal, kernel), direct, atol=1e-5)
    point = np.zeros((301, 301), dtype=np.float32)
    point[150, 150] = 7
    assert convolve(point, kernel / kernel.sum()).sum() == pytest.approx(7, rel=1e-5)


def test_convolution_of_an_image_smaller_than_the_kernel() -> None:
    flat = np.full((16, 20), 3.0, dtype=np.float32)
    kernel = point_spread(Optics(defocus_um=1.0))
    assert kernel.shape[0] > 40
    np.testing.assert_allclose(convolve(flat, kernel), 3, rtol=1e-5)


@pytest.mark.parametrize("sigma_px", [1.5, 8.0, 20.0])
@pytest.mark.parametrize("shape", [(128, 130), (97, 64)])
def test_haze_is_a_wide_gaussian(sigma_px: float, shape: tuple[int, int]) -> None:
    density = np.random.default_rng(1).random(shape, dtype=np.float32) ** 8
    exact = scipy.ndimage.gaussian_filter(density, sigma_px)
    swing = np.ptp(exact)
    np.testing.assert_allclose(haze(density, sigma_px), exact, atol=0.06 * swing + 0.02 * exact.mean())


def test_illumination_runs_from_one_to_one_minus_falloff() -> None:
    profile = illumination_profile(np.random.default_rng(2), (40, 60), 0.3)
    assert profile.max() == pytest.approx(1)
    assert profile.min() == pytest.approx(0.7)
    np.testing.assert_array_equal(illumination_profile(np.random.default_rng(2), (40, 60), 0.0), 1)


def test_uneven_light_bleaching_and_bleed_through_by_hand() -> None:
    signal = np.array([[2.0, 4.0]], dtype=np.float32)
    profile = np.array([[1.0, 0.5]], dtype=np.float32)
    np.testing.assert_allclose(illuminate(signal, profile, 3), [[5, 5]])
    np.testing.assert_allclose(photobleach(signal, 0.5, 2 * np.log(2)), signal / 2, rtol=1e-6)
    channels = np.stack([signal, 10 * signal])
    mixed = bleed_through(channels, np.array([[1, 0.1], [0.3, 1]]))
    np.testing.assert_allclose(mixed, [2 * signal, 10.3 * signal], rtol=1e-6)
