from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy
import torch

from anyscope.corruptions import CORRUPTIONS
from anyscope.corruptions.fluorescence.aberrations import defocused
from anyscope.corruptions.fluorescence.acquisition import assume_acquisition, depth_of_field_um
from anyscope.corruptions.fluorescence.filtering import (
    differential_transfer,
    edge_shift_px,
    filter_mirrored,
    gaussian_transfer,
    transfer_of,
    white_noise_sigma,
)
from anyscope.microscope import MICROSCOPES, Optics, point_spread

OBJECTIVES = MICROSCOPES["reference"].objectives
UNIFORM = ["defocus_fluorescence", "spherical_aberration", "astigmatism", "coma", "trefoil"]
# Coma and trefoil move the image; moving it back by interpolation needs an image without aliasing.
IMAGED = [(name, scale) for scale in OBJECTIVES for name in (UNIFORM if scale == "organelles" else UNIFORM[:3])]
SIZE = 96


def specimen(size: int = SIZE) -> np.ndarray:
    """Discs and a thin line, without blur."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    density = np.zeros((size, size))
    for _ in range(12):
        cy, cx, radius = random.uniform(0, size), random.uniform(0, size), random.uniform(3, 12)
        density += random.uniform(0.3, 1) * (np.hypot(y - cy, x - cx) < radius)
    density[30:60, 40] += 3
    return density


def imaged(density: np.ndarray, kernel: np.ndarray, margin: int = 0) -> np.ndarray:
    """Direct imaging, mirrored at the borders, on a background of 0.2."""
    padded = np.pad(density, kernel.shape[0] // 2 + margin, mode="symmetric")
    return scipy.signal.fftconvolve(padded, kernel.astype(float), mode="valid") + 0.2


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32))[None, None, None]


def aberrated(name: str, severity: int, photons: np.ndarray, optics: Optics) -> np.ndarray:
    acquisition = replace(assume_acquisition(tensor(photons)), optics=optics)
    return CORRUPTIONS[name].at(severity).light(tensor(photons), [0], acquisition)[0, 0, 0].numpy()


@pytest.mark.parametrize("severity", [1, 5])
@pytest.mark.parametrize(("name", "scale"), IMAGED)
def test_the_filtered_image_is_the_one_through_the_aberrated_optics(name, scale, severity):
    optics = OBJECTIVES[scale]
    reference = imaged(specimen(), point_spread(optics))
    _, other = CORRUPTIONS[name].at(severity).optics(optics)
    ours = aberrated(name, severity, reference, optics)
    shift = edge_shift_px(point_spread(other))
    if max(map(abs, shift)) > 1e-3:
        wide = imaged(specimen(), point_spread(other), margin=20)
        theirs = scipy.ndimage.shift(wide, [-by for by in shift], order=5, mode="nearest")[20:-20, 20:-20]
        assert np.abs(ours - theirs).max() < 0.01 * theirs.max()
        return
    theirs = imaged(specimen(), point_spread(other))
    assert np.abs(ours - theirs).max() < 4e-4 * theirs.max()
    assert np.abs(theirs - reference).max() > 0.05 * theirs.max()
    assert ours.mean() == pytest.approx(reference.mean(), rel=1e-5)


@pytest.mark.parametrize("name", UNIFORM)
@pytest.mark.parametrize("microscope", ["reference", "shifted"])
def test_no_frequency_is_amplified_and_none_made(name, microscope):
    for optics in MICROSCOPES[microscope].objectives.values():
        transfer = differential_transfer(*CORRUPTIONS[name].at(3).optics(optics), (32, 40))
        assert transfer.shape == (64, 41)
        assert transfer.abs().max() <= 1 + 1e-6
        assert transfer[0, 0] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", [*UNIFORM, "spatially_variant_blur"])
def test_a_uniform_background_stays(name):
    flat = np.full((40, 48), 7.0)
    np.testing.assert_allclose(aberrated(name, 4, flat, OBJECTIVES["organelles"]), flat, rtol=1e-5)


def test_the_same_optics_change_nothing_noise_included():
    optics = OBJECTIVES["organelles"]
    noise = torch.rand((1, 2, 1, 40, 33), generator=torch.Generator().manual_seed(0))
    same = filter_mirrored(noise, differential_transfer(optics, optics, (40, 33)))
    torch.testing.assert_close(same, noise, atol=1e-5, rtol=0)


def test_a_point_has_its_first_dark_ring_where_airy_says():
    optics = Optics(numerical_aperture=0.5, immersion_index=1.0, wavelength_nm=500, pixel_size_nm=30)
    point = np.zeros((127, 127), np.float32)
    point[63, 63] = 1
    transfer = torch.from_numpy(transfer_of(point_spread(optics), point.shape).astype(np.complex64))
    seen = filter_mirrored(tensor(point), transfer)[0, 0, 0].double()
    assert seen.sum().item() == pytest.approx(1, abs=1e-5)
    line = seen[63, 63:].numpy()
    dark = next(place for place in range(1, 60) if line[place] < line[place + 1])
    assert dark * 30 == pytest.approx(0.61 * 500 / 0.5, abs=30)


@pytest.mark.parametrize("depths", [0.5, 1.0, 1.5])
def test_a_point_out_of_focus_dims_as_theory_says(depths):
    """On the axis I(z) / I(0) = sinc^2 of a quarter of the phase at the rim (Born and Wolf, 8.8.2)."""
    optics = Optics(numerical_aperture=0.2, immersion_index=1.0, wavelength_nm=500, pixel_size_nm=300)
    kernel = point_spread(optics).astype(np.float64)
    image = np.zeros((161, 161))
    half, middle = kernel.shape[0] // 2, 80
    image[middle - half : middle + half + 1, middle - half : middle + half + 1] = kernel
    after = filter_mirrored(tensor(image), differential_transfer(optics, defocused(optics, depths), image.shape))
    ratio = after[0, 0, 0, middle, middle].item() / image[middle, middle]
    assert ratio == pytest.approx(np.sinc(depths / 2) ** 2, abs=0.03)


def test_depth_of_field():
    assert depth_of_field_um(OBJECTIVES["cells"]) == pytest.approx(0.520 / 0.5625, rel=1e-6)
    assert depth_of_field_um(OBJECTIVES["organelles"]) == pytest.approx(0.520 * 1.515 / 1.96, rel=1e-6)


def test_defects_that_are_there_grow():
    optics = OBJECTIVES["organelles"].changed(psf="pupil", defocus_um=-0.2, coma_waves=-0.1)
    assert CORRUPTIONS["defocus_fluorescence"].at(1).optics(optics)[1].defocus_um < -0.5
    assert CORRUPTIONS["coma"].at(1).optics(optics)[1].coma_waves == pytest.approx(-0.2)


def test_gaussian_optics_are_taken_for_a_perfect_lens():
    optics = Optics(psf="gaussian")
    reference, other = CORRUPTIONS["defocus_fluorescence"].at(1).optics(optics)
    assert (reference.psf, reference.defocus_um) == ("gibson_lanni", 0)
    assert other.defocus_um > 0


def test_variant_blur_is_sharp_at_its_centre_and_as_defocused_as_it_says_in_the_farthest_corner():
    size, optics = SIZE, OBJECTIVES["cells"]
    random = np.random.default_rng(1)
    image = imaged(random.random((size, size)), point_spread(optics))
    varied = aberrated("spatially_variant_blur", 3, image, optics)
    corner = aberrated("defocus_fluorescence", 4, image, optics)  # both 3 depths of field
    gaps = [abs(varied[y, x] - corner[y, x]) for y in (0, -1) for x in (0, -1)]
    assert min(gaps) < 1e-4
    windows = np.lib.stride_tricks.sliding_window_view(np.abs(varied - image), (5, 5)).mean(axis=(-1, -2))
    y, x = np.unravel_index(windows.argmin(), windows.shape)
    assert windows.min() < 0.05 * windows.max()
    assert np.hypot(y + 2 - size / 2, x + 2 - size / 2) < 0.6 * size / 2


def test_coma_keeps_straight_edges_in_place():
    size = 128
    step = np.zeros((size, size))
    step[:, 40:88] = 1
    optics = OBJECTIVES["organelles"]
    image = imaged(step, point_spread(optics)) - 0.2
    after = aberrated("coma", 3, image, optics)[64]
    for side in (slice(20, 64), slice(64, 108)):
        line, before = after[side], image[64, side]
        order = slice(None) if line[-1] > line[0] else slice(None, None, -1)
        places = np.arange(line.size)[order]
        at, was = (np.interp(0.5, values[order], places) for values in (line, before))
        assert at == pytest.approx(was, abs=0.25)


def test_gaussian_blur_is_that_of_scipy():
    image = np.random.default_rng(0).random((40, 52))
    ours = filter_mirrored(tensor(image), gaussian_transfer(3.0, (40, 52)))[0, 0, 0].numpy()
    np.testing.assert_allclose(ours, scipy.ndimage.gaussian_filter(image, 3.0, mode="reflect", truncate=8), atol=2e-4)


def test_edges_move_by_the_median_of_the_kernel():
    kernel = np.zeros((5, 7))
    kernel[3, 5] = 1
    assert edge_shift_px(kernel) == (1, 2)
    assert edge_shift_px(np.ones((3, 3))) == (0, 0)


def test_noise_is_measured_beside_objects():
    random = torch.Generator().manual_seed(0)
    smooth = tensor(imaged(specimen(), point_spread(OBJECTIVES["organelles"])))
    noisy = smooth + 0.07 * torch.randn(smooth.shape, generator=random)
    assert white_noise_sigma(noisy).item() == pytest.approx(0.07, rel=0.1)
    assert white_noise_sigma(smooth).item() < 0.005
    assert white_noise_sigma(torch.ones((2, 3, 1, 5, 7))).shape == (2, 3, 1, 1, 1)


@pytest.mark.parametrize("name", [*UNIFORM, "spatially_variant_blur", "drift", "stage_vibration"])
def test_noise_of_real_images_stays_white_and_as_strong(name):
    random = torch.Generator().manual_seed(0)
    noise = 0.5 + 0.05 * torch.randn((1, 1, 1, 128, 128), generator=random)
    after = CORRUPTIONS[name].at(4)(noise, [1]).images[0, 0, 0]
    assert after.std().item() == pytest.approx(0.05, rel=0.06)
    plane = after - after.mean()
    for pair in ((plane[1:], plane[:-1]), (plane[:, 1:], plane[:, :-1]), (plane[1:, 1:], plane[:-1, :-1])):
        together = torch.corrcoef(torch.stack([side.flatten() for side in pair]))[0, 1]
        assert abs(together.item()) < 0.05
