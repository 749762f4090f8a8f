"""The camera of tensors against theory and against the camera of arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from anyscope.corruptions.fluorescence.sensor import multiply, spread_blocks, sum_blocks, take_images
from anyscope.microscope import MICROSCOPES, Camera
from anyscope.microscope.camera import sensor_maps, take_image
from anyscope.seeding import generator, torch_generator
from tests.corruptions.fluorescence.conftest import QUIET

SIZE = 256


def image_of(camera: Camera, photons: float, seed: int = 0, **options: float) -> np.ndarray:
    light = torch.full((1, 1, 1, SIZE, SIZE), photons)
    return take_images(camera, light, [seed], **options)[0, 0, 0].numpy()


@pytest.mark.parametrize("photons", [0.5, 30.0, 2000.0])
def test_shot_noise_is_poisson(photons):
    numbers = image_of(QUIET, photons) - QUIET.offset_dn
    assert numbers.mean() == pytest.approx(photons, rel=5 / np.sqrt(photons * SIZE**2))
    assert numbers.var() == pytest.approx(photons, rel=0.03)
    if photons < 100:
        counts = np.bincount(numbers.astype(int).ravel(), minlength=80)
        assert np.abs(np.cumsum(counts) / SIZE**2 - stats.poisson.cdf(np.arange(len(counts)), photons)).max() < 0.01


def test_read_noise_is_gaussian_and_rounded():
    numbers = image_of(QUIET.changed(read_noise_e=6.0, gain_e_per_dn=2.0), 0.0)
    assert numbers.mean() == pytest.approx(100, abs=0.06)
    assert numbers.var() == pytest.approx(3**2 + 1 / 12, rel=0.03)
    assert np.array_equal(numbers, np.rint(numbers))


def test_numbers_are_clipped_at_both_ends():
    camera = QUIET.changed(read_noise_e=30.0, offset_dn=10.0, bits=8)
    assert image_of(camera, 0.0).min() == 0
    assert image_of(camera, 5000.0).min() == 255
    assert image_of(QUIET.changed(full_well_e=500.5), 5000.0).max() == 600


def test_dark_current_makes_electrons_without_light():
    camera = QUIET.changed(dark_current_e_per_s=30.0, exposure_s=2.0)
    assert image_of(camera, 0.0).mean() == pytest.approx(160, abs=0.2)
    assert image_of(camera, 0.0).var() == pytest.approx(60, rel=0.03)


@pytest.mark.parametrize("excess", [1.5, 2.0, 7.0])
def test_multiplication_has_its_excess_noise(excess):
    numbers = image_of(QUIET.changed(gain_e_per_dn=0.01, offset_dn=0), 40.0, excess=excess) * 0.01
    assert numbers.mean() == pytest.approx(40, rel=0.01)
    assert numbers.var() == pytest.approx(40 * excess, rel=0.04)


def test_an_emccd_of_high_gain_has_a_noise_factor_of_the_root_of_two():
    camera = QUIET.changed(kind="emccd", em_gain=300.0, gain_e_per_dn=10.0)
    numbers = image_of(camera, 50.0) - camera.offset_dn
    factor = numbers.std() / numbers.mean() * np.sqrt(50.0)
    assert factor == pytest.approx(np.sqrt(2), rel=0.02)


def test_no_electrons_stay_none():
    nothing = torch.zeros(1000)
    assert torch.equal(multiply(nothing, 2.0, torch_generator(0, "test")), nothing)


@pytest.mark.parametrize(
    "camera",
    [
        MICROSCOPES["reference"].camera,
        MICROSCOPES["shifted"].camera,
        Camera(),
        Camera(binning=2, dark_current_e_per_s=20),
        Camera(kind="scmos", binning=2, bits=12, offset_spread_dn=4, gain_spread=0.05, read_noise_spread=0.4),
    ],
    ids=["reference", "shifted", "ccd", "binning ccd", "binning scmos"],
)
def test_moments_are_those_of_the_camera_of_arrays(camera):
    ramp = np.linspace(1, 60, SIZE, dtype=np.float32)[None].repeat(SIZE, 0)
    side = camera.binning
    fine = ramp.repeat(side, 0).repeat(side, 1) / side**2
    ours = take_images(camera, torch.from_numpy(ramp)[None, None, None], [3])[0, 0, 0].numpy().astype(float)
    theirs = take_image(camera, fine, generator(3, "noise")).astype(float)
    for part in np.array_split(np.arange(SIZE), 4):
        error = theirs[:, part].std() / np.sqrt(part.size * SIZE)
        assert ours[:, part].mean() == pytest.approx(theirs[:, part].mean(), abs=6 * error)
        assert ours[:, part].std() == pytest.approx(theirs[:, part].std(), rel=0.03)


def test_fixed_pattern_is_that_of_the_sensor():
    camera = Camera(kind="scmos", offset_spread_dn=20.0, read_noise_e=0.5)
    mean = np.mean([image_of(camera, 0.0, seed) for seed in range(8)], axis=0)
    pattern = sensor_maps(camera).over((SIZE, SIZE)).offset_dn
    assert np.corrcoef(mean.ravel(), pattern.ravel())[0, 1] > 0.999


def test_blocks():
    values = torch.arange(16.0).reshape(4, 4)
    assert sum_blocks(values, 2).tolist() == [[10, 18], [42, 50]]
    assert spread_blocks(torch.tensor([[1, 2]]), 2).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
