from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from anyscope.corruptions import CORRUPTIONS, SEVERITIES
from anyscope.corruptions.fluorescence import assume_acquisition
from anyscope.corruptions.fluorescence.exposure import noise_of_addition, noise_of_loss
from anyscope.corruptions.fluorescence.photons import PhotonLoss
from anyscope.microscope import snr
from anyscope.microscope.camera import dark_dn, dn_per_photon, expected_image
from tests.corruptions.fluorescence.conftest import QUIET, synthetic, taken


def digital_numbers(result: torch.Tensor, acquisition, index: int) -> np.ndarray:
    """Back from the scale of the image."""
    low, high = acquisition.low[index].item(), acquisition.high[index].item()
    return (result[index, 0, 0].double() * (high - low) + low).numpy()


@pytest.mark.parametrize("severity", SEVERITIES)
def test_photon_loss_has_exactly_the_snr_it_says(exact, severity):
    images, acquisition = exact
    corruption = PhotonLoss.at(severity)
    result = corruption(images, [5, 6], acquisition)
    for index in range(2):
        numbers = digital_numbers(result.images, acquisition, index)
        assert np.abs(numbers - np.rint(numbers)).max() < 0.01
        foreground = acquisition.foreground[index, 0].numpy()
        photons = acquisition.photons[index, 0, 0].numpy()
        nominal = expected_image(acquisition.camera, photons) - dark_dn(acquisition.camera)
        contrast = numbers[foreground].mean() - numbers[~foreground].mean()
        light = contrast / (nominal[foreground].mean() - nominal[~foreground].mean())
        expected = nominal * light + dark_dn(acquisition.camera)
        measured = snr(np.rint(numbers), foreground, ~foreground, expected)
        assert measured == pytest.approx(corruption.snr, rel=0.004)  # the light itself is only estimated here
        assert light < 1


def test_exact_snr_by_the_exact_light(exact, monkeypatch):
    from anyscope.corruptions.fluorescence import photons as module

    images, acquisition = exact
    reached = []
    original = module.expose_to_snr

    def recorded(*arguments):
        exposure = original(*arguments)
        reached.append(exposure)
        return exposure

    monkeypatch.setattr(module, "expose_to_snr", recorded)
    PhotonLoss.at(3)(images, [5, 6], acquisition)
    assert len(reached) == 2
    for index, exposure in enumerate(reached):
        foreground = acquisition.foreground[index, 0].numpy()
        light = acquisition.photons[index, 0, 0].numpy() * np.float32(exposure.light)
        measured = snr(exposure.image, foreground, ~foreground, expected_image(acquisition.camera, light))
        assert measured == pytest.approx(3, rel=0.002)


def test_photon_loss_never_adds_light():
    images, acquisition = taken(synthetic(1, 96, "mitochondria", "shifted"))  # SNR 3.5
    result = PhotonLoss(snr=30.0, kept=1.0)(images, [1], acquisition).images
    assert float(result.mean()) == pytest.approx(float(images.mean()), rel=0.05)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_specks_of_a_few_pixels_are_no_error(exact, severity):
    images, acquisition = exact
    speck = torch.zeros_like(acquisition.foreground)
    speck[..., 40, 40:42] = True
    bright = torch.where(speck[:, None], 60.0, 20.0)
    acquisition = replace(acquisition, photons=bright, foreground=speck)
    for seed in range(5):
        assert torch.isfinite(PhotonLoss.at(severity)(images, [seed, seed + 10], acquisition).images).all()


def test_planes_without_foreground_keep_a_share_of_their_photons(exact):
    images, acquisition = exact
    empty = replace(acquisition, foreground=torch.zeros_like(acquisition.foreground))
    corruption = PhotonLoss.at(2)
    numbers = digital_numbers(corruption(images, [1, 2], empty).images, acquisition, 0)
    expected = expected_image(acquisition.camera, acquisition.photons[0, 0, 0].numpy() * np.float32(0.25))
    assert numbers.mean() == pytest.approx(expected.mean(), rel=0.005)
    unknown = replace(acquisition, foreground=None)
    again = digital_numbers(corruption(images, [1, 2], unknown).images, acquisition, 0)
    assert again.mean() == pytest.approx(expected.mean(), rel=0.005)


def test_shares_are_those_of_shot_noise_alone():
    """Contrast goes with the light and shot noise with its root."""
    for severity in SEVERITIES:
        corruption = PhotonLoss.at(severity)
        assert corruption.kept == (corruption.snr / 8) ** 2


def test_loss_of_light_of_poisson_numbers_gives_poisson_numbers():
    random = torch.Generator().manual_seed(0)
    before = torch.poisson(torch.full((1, 200_000), 30.0), generator=random)
    after = before * 0.3 + noise_of_loss(before, torch.tensor(0.3), [1], "test")
    assert after.mean().item() == pytest.approx(9, rel=0.01)
    assert after.var().item() == pytest.approx(9, rel=0.02)
    assert torch.equal(noise_of_loss(before, torch.tensor(1.0), [1], "test"), torch.zeros_like(before))


def test_added_light_has_shot_noise():
    noise = noise_of_addition(torch.full((1, 200_000), 12.0), [1], "test")
    assert noise.mean().item() == pytest.approx(0, abs=0.05)
    assert noise.var().item() == pytest.approx(12, rel=0.02)


def test_photon_loss_of_a_real_image():
    images = torch.full((1, 1, 1, 200, 200), 0.5)
    acquisition = assume_acquisition(images)
    result = PhotonLoss.at(2)(images, [1], acquisition).images
    photons, kept, efficiency, read = 55.0, 0.25, 0.82, 1.6
    assert result.mean().item() == pytest.approx((photons * kept - 5) / 100, abs=0.002)
    variance = photons * kept * (1 - kept) / efficiency + (1 - kept**2) * (read / efficiency) ** 2
    assert result.var().item() * 100**2 == pytest.approx(variance, rel=0.04)


def test_background_comes_before_the_shot_noise(flat):
    light = flat(20.0)
    wide = replace(light, high=light.high + 49)  # fifty photons between 0 and 1
    result = CORRUPTIONS["background"].at(3)(wide.photons, [0], wide).images * 50 - QUIET.offset_dn
    assert result.mean().item() == pytest.approx(70, rel=0.01)
    assert result.var().item() == pytest.approx(70, rel=0.03)


def test_background_of_a_real_image():
    images = torch.full((1, 1, 1, 200, 200), 0.5)
    result = CORRUPTIONS["background"].at(3)(images, [0]).images
    assert result.mean().item() == pytest.approx(1.5, rel=0.002)
    assert result.var().item() == pytest.approx(1 / (100 * 0.82), rel=0.04)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_uneven_illumination_runs_from_one_to_what_is_left(severity, exact):
    _, acquisition = exact
    corruption = CORRUPTIONS["uneven_illumination"].at(severity)
    ones = torch.ones_like(acquisition.photons)
    profile = corruption.light(ones, [3, 4], acquisition)
    assert torch.allclose(profile.amax((1, 2, 3, 4)), torch.ones(2))
    torch.testing.assert_close(profile.amin((1, 2, 3, 4)), torch.full((2,), 1 - corruption.falloff), atol=1e-5, rtol=0)
    assert not torch.equal(profile[0], profile[1])


def test_bleaching_is_exponential_and_before_the_shot_noise(flat):
    light = torch.full((1, 1, 5, 200, 200), 100.0)
    acquisition = flat(light)
    result = CORRUPTIONS["photobleaching"].at(5)(light, [0], acquisition).images - QUIET.offset_dn
    rate = -np.log(0.1) / 4
    for z in range(5):
        left = 100 * np.exp(-rate * z)
        assert result[0, 0, z].mean().item() == pytest.approx(left, rel=0.01)
        assert result[0, 0, z].var().item() == pytest.approx(left, rel=0.03)


def test_a_single_plane_is_bleached_as_the_last(flat):
    acquisition = flat(100.0)
    bleached = CORRUPTIONS["photobleaching"].at(1).light(acquisition.photons, [0], acquisition)
    assert torch.allclose(bleached, torch.tensor(80.0))


def test_light_is_counted_in_the_units_of_the_camera(exact):
    """A pixel of the grey level 1 has the photons of full scale more than one of 0."""
    _, acquisition = exact
    added = CORRUPTIONS["background"].at(3).light(acquisition.photons, [0, 1], acquisition) - acquisition.photons
    numbers = added.amax((1, 2, 3, 4)) * dn_per_photon(acquisition.camera)
    torch.testing.assert_close(numbers, acquisition.high - acquisition.low, rtol=1e-4, atol=0)
