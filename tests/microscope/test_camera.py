"""The camera against the statistics of its parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from anyscope.microscope import Camera
from anyscope.microscope.camera import bin_sum, expected_image, multiply, sensor_maps, take_image

IDEAL = Camera(
    quantum_efficiency=1, dark_current_e_per_s=0, read_noise_e=0, gain_e_per_dn=1, offset_dn=0, bits=16, full_well_e=1e6
)
SCMOS = {"kind": "scmos", "gain_spread": 0.02, "offset_spread_dn": 1.0, "read_noise_spread": 0.4}
CAMERAS = {
    "ideal": IDEAL,
    "ccd": Camera(),
    "binned ccd": Camera(binning=2, bits=16),
    "emccd": Camera(kind="emccd", em_gain=100, read_noise_e=40, gain_e_per_dn=20, bits=16, clock_induced_e=0.02),
    "binned emccd": Camera(kind="emccd", em_gain=30, read_noise_e=40, gain_e_per_dn=20, bits=16, binning=2),
    "scmos": Camera(**SCMOS, read_noise_e=1.6, gain_e_per_dn=0.5),
    "binned scmos": Camera(**SCMOS, read_noise_e=1.6, binning=2),
    "dark": Camera(dark_current_e_per_s=100, exposure_s=0.5),
}


def flat(camera: Camera, photons: float, side: int = 256, seed: int = 0) -> np.ndarray:
    field = np.full((side * camera.binning, side * camera.binning), photons, dtype=np.float32)
    return take_image(camera, field, np.random.default_rng(seed))


@pytest.mark.parametrize("photons", [0.5, 20, 1000])
def test_shot_noise_variance_is_the_mean(photons: float) -> None:
    image = flat(IDEAL, photons).astype(float)
    assert image.mean() == pytest.approx(photons, rel=0.01)
    assert image.var() == pytest.approx(photons, rel=0.03)


def test_read_noise_in_the_dark() -> None:
    image = flat(Camera(read_noise_e=6, gain_e_per_dn=0.5, dark_current_e_per_s=0), 0).astype(float)
    assert image.mean() == pytest.approx(100, abs=0.2)
    assert image.std() == pytest.approx(12, rel=0.01)


def test_multiplication_has_an_excess_noise_factor_of_root_two() -> None:
    electrons = np.random.default_rng(3).poisson(50, 200_000)
    multiplied = multiply(electrons, 300, np.random.default_rng(4))
    noise_factor = np.sqrt(multiplied.var() / (300**2 * electrons.var()))
    assert multiplied.mean() / electrons.mean() == pytest.approx(300, rel=0.01)
    assert noise_factor == pytest.approx(np.sqrt(2), rel=0.01)
    np.testing.assert_array_equal(multiply(electrons, 1, np.random.default_rng(5)), electrons)


@pytest.mark.parametrize("name", CAMERAS)
def test_mean_image_is_linear_in_the_light_and_as_expected(name: str) -> None:
    camera = CAMERAS[name]
    rng = np.random.default_rng(6)
    photons = rng.uniform(50, 150, (64 * camera.binning, 64 * camera.binning)).astype(np.float32)
    for strength in (1, 2):
        frames = [take_image(camera, strength * photons, rng).astype(float) for _ in range(20)]
        expected = expected_image(camera, strength * photons)
        assert np.mean(frames) == pytest.approx(expected.mean(), rel=0.01)
        slope = np.polyfit(expected.ravel(), np.mean(frames, axis=0).ravel(), 1)[0]
        assert slope == pytest.approx(1, abs=0.06)


def test_full_well_and_bit_depth_clip() -> None:
    well = Camera(full_well_e=1000, bits=16, read_noise_e=0)
    assert flat(well, 5000).min() == flat(well, 5000).max() == 1100
    eight = Camera(bits=8, offset_dn=10)
    assert flat(eight, 5000).min() == 255 == eight.highest_dn
    assert flat(Camera(offset_dn=0, read_noise_e=20), 0).min() == 0


def test_scmos_maps_belong_to_the_sensor() -> None:
    first, again, other = (sensor_maps(Camera(**SCMOS, sensor_id=k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(first.gain, again.gain)
    assert (first.gain != other.gain).mean() > 0.99
    assert first.gain.std() == pytest.approx(0.02, rel=0.02)
    assert first.gain.mean() == pytest.approx(1, abs=1e-3)
    assert first.offset_dn.std() == pytest.approx(1.0, rel=0.02)
    assert np.median(first.read_noise) == pytest.approx(1, rel=0.01)
    small, large = first.over((30, 40)), first.over((1500, 2100))
    np.testing.assert_array_equal(small.gain, large.gain[:30, :40])
    assert large.gain.shape == (1500, 2100)


def test_scmos_fixed_pattern_survives_averaging() -> None:
    camera = Camera(**SCMOS, read_noise_e=1, gain_e_per_dn=0.5)
    mean = np.mean([flat(camera, 0, seed=seed) for seed in range(60)], axis=0)
    pattern = sensor_maps(camera).over(mean.shape).offset_dn
    assert np.corrcoef(mean.ravel(), pattern.ravel())[0, 1] > 0.9


def test_binning_before_readout_reads_once_and_after_it_once_for_each_pixel() -> None:
    ccd = flat(Camera(binning=2, read_noise_e=6, gain_e_per_dn=0.5), 0).astype(float)
    scmos = flat(Camera(kind="scmos", binning=2, read_noise_e=6, gain_e_per_dn=0.5), 0).astype(float)
    assert (ccd.mean(), ccd.std()) == (pytest.approx(100, abs=0.3), pytest.approx(12, rel=0.02))
    assert (scmos.mean(), scmos.std()) == (pytest.approx(400, abs=0.6), pytest.approx(24, rel=0.02))


def test_binning_by_hand() -> None:
    np.testing.assert_array_equal(bin_sum(np.arange(16).reshape(4, 4), 2), [[10, 18], [42, 50]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "ccd", "em_gain": 2}, "needs kind 'emccd'"),
        ({"kind": "ccd", "gain_spread": 0.1}, "needs kind 'scmos'"),
        ({"kind": "scmos", "bits": 16, "binning": 2}, "does not fit into 16 bits"),
        ({"bits": 4, "offset_dn": 100}, "offset_dn"),
        ({"bits": 17}, "bits"),
        ({"readnoise": 1}, "Extra inputs"),
    ],
)
def test_impossible_cameras_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Camera(**values)
