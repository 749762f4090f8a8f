"""Point spread functions against diffraction theory and independent integration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy
from pydantic import ValidationError

from anyscope.errors import BadInput
from anyscope.microscope import Optics, point_spread
from anyscope.microscope.psf import gaussian_sigma_px, mount_wavefront, radial_profile, zernike_wavefront

OIL = {"numerical_aperture": 1.4, "wavelength_nm": 576, "pixel_size_nm": 65}
AIR = {"numerical_aperture": 0.75, "wavelength_nm": 520, "pixel_size_nm": 325, "immersion_index": 1.0}
MOUNTS: list[dict[str, Any]] = [
    {},
    {"defocus_um": 0.8},
    {"defocus_um": -0.8},
    {"depth_um": 4.0, "sample_index": 1.45},
    {"coverslip_um": 175.0, "coverslip_index": 1.54},
]
ZERNIKE = ["astigmatism_waves", "coma_waves", "trefoil_waves", "spherical_waves"]


@pytest.mark.parametrize("objective", [OIL, AIR])
@pytest.mark.parametrize("mount", [{"psf": kind} for kind in ("gaussian", "gibson_lanni", "pupil")] + MOUNTS[1:])
def test_energy_is_one_and_the_kernel_is_centred(objective: dict[str, Any], mount: dict[str, Any]) -> None:
    kernel = point_spread(Optics(**{**objective, **mount}))
    assert kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    assert kernel.min() >= 0
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-6 * kernel.max())
    with pytest.raises(ValueError, match="read-only"):
        kernel[0, 0] = 1


def test_first_dark_ring_is_where_airy_says() -> None:
    optics = Optics(**OIL)
    ring = scipy.optimize.minimize_scalar(
        lambda r: float(radial_profile(optics, np.array([r]))[0]), bounds=(0.15, 0.35), method="bounded"
    )
    assert 1000 * ring.x == pytest.approx(0.61 * 576 / 1.4, rel=1e-3)
    assert ring.fun < 1e-6


def test_first_dark_ring_in_the_pixels_of_both_diffraction_kernels() -> None:
    for kind in ("gibson_lanni", "pupil"):
        optics = Optics(psf=kind, numerical_aperture=1.4, wavelength_nm=576, pixel_size_nm=10)
        kernel = point_spread(optics)
        middle = kernel.shape[0] // 2
        line = kernel[middle, middle : middle + 40]
        assert 10 * int(np.argmin(line)) == pytest.approx(optics.airy_radius_nm, abs=10)


def test_profile_in_focus_is_the_airy_pattern() -> None:
    optics = Optics(**OIL)
    r = np.linspace(0.01, 2, 100)
    v = 2 * np.pi * 1.4 * r / 0.576
    np.testing.assert_allclose(radial_profile(optics, r), (2 * scipy.special.j1(v) / v) ** 2, atol=1e-10)


@pytest.mark.parametrize("mount", [*MOUNTS, {"depth_um": 3.0, "sample_index": 1.33}])
def test_profile_agrees_with_adaptive_integration(mount: dict[str, Any]) -> None:
    optics = Optics(**OIL, **mount)
    k = 2 * np.pi / 0.576
    for r in (0.0, 0.3, 1.1):

        def part(rho: float, which: str, r: float = r) -> float:
            phase = np.exp(2j * np.pi * mount_wavefront(optics, np.array([rho]))[0])
            return float(getattr(phase * scipy.special.j0(k * 1.4 * r * rho) * 2 * rho, which))

        field = [scipy.integrate.quad(part, 0, 1, args=(which,), limit=500)[0] for which in ("real", "imag")]
        assert radial_profile(optics, np.array([r]))[0] == pytest.approx(field[0] ** 2 + field[1] ** 2, abs=2e-4)


@pytest.mark.parametrize("objective", [OIL, AIR])
@pytest.mark.parametrize("mount", MOUNTS)
def test_pupil_without_zernike_is_gibson_lanni(objective: dict[str, Any], mount: dict[str, Any]) -> None:
    radial = point_spread(Optics(psf="gibson_lanni", **objective, **mount))
    fourier = point_spread(Optics(psf="pupil", **objective, **mount))
    np.testing.assert_allclose(fourier, radial, atol=0.01 * radial.max())


def test_gaussian_has_the_width_of_the_facts() -> None:
    optics = Optics(psf="gaussian", **OIL)
    assert gaussian_sigma_px(optics) == pytest.approx(1.287, abs=5e-4)
    kernel = point_spread(optics).astype(np.float64)
    x = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    variance = (kernel.sum(axis=0) * x**2).sum()
    assert variance == pytest.approx(1.287**2 + 1 / 12, rel=0.01)  # pixels are areas


def test_defocus_blurs_symmetrically_and_more_with_distance() -> None:
    peaks = [point_spread(Optics(**OIL, defocus_um=z)).max() for z in (0.0, 0.3, 0.6, 1.2)]
    assert peaks == sorted(peaks, reverse=True)
    above, below = (point_spread(Optics(**OIL, defocus_um=z)) for z in (0.7, -0.7))
    np.testing.assert_allclose(above, below, atol=1e-6)


def test_far_from_focus_the_disk_has_the_radius_of_the_cone() -> None:
    kernel = point_spread(Optics(**AIR, defocus_um=20.0)).astype(np.float64)
    x = (np.arange(kernel.shape[0]) - kernel.shape[0] // 2) * 0.325
    radius = np.hypot(x[:, None], x[None, :])
    cone = 20 * 0.75 / np.sqrt(1 - 0.75**2)
    assert kernel[radius < 1.1 * cone].sum() > 0.95
    assert kernel[radius < 0.5 * cone].sum() < 0.5


@pytest.mark.parametrize("name", ZERNIKE)
def test_small_aberrations_follow_marechal(name: str) -> None:
    fine = {**OIL, "pixel_size_nm": 20, "psf": "pupil"}
    strehl = point_spread(Optics(**fine, **{name: 0.05})).max() / point_spread(Optics(**fine)).max()
    assert strehl == pytest.approx(np.exp(-((2 * np.pi * 0.05) ** 2)), abs=0.02)


def test_zernike_polynomials_are_orthonormal_over_the_disk() -> None:
    u = (np.arange(600) + 0.5) / 300 - 1
    disk = np.hypot(u[:, None], u[None, :]) <= 1
    waves = [zernike_wavefront(Optics(psf="pupil", **{n: 1.0}), u[None, :], u[:, None])[disk] for n in ZERNIKE]
    gram = np.array([[np.mean(a * b) for b in waves] for a in waves])
    np.testing.assert_allclose(gram, np.eye(4), atol=0.01)


def test_shapes_of_the_aberrations() -> None:
    def kernel(**values: float) -> np.ndarray:
        return point_spread(Optics(psf="pupil", **OIL, **values)).astype(np.float64)

    def spread(k: np.ndarray) -> tuple[float, float]:
        x = np.arange(k.shape[0]) - k.shape[0] // 2
        core = k * (np.hypot(x[:, None], x[None, :]) < 15)
        return float((core.sum(axis=1) * x**2).sum()), float((core.sum(axis=0) * x**2).sum())

    for sign in (1, -1):
        y, x = spread(kernel(astigmatism_waves=0.12, defocus_um=0.25 * sign))
        assert (y > 1.3 * x) if sign > 0 else (x > 1.3 * y)
    coma = kernel(coma_waves=0.15)
    np.testing.assert_allclose(coma, coma[::-1], atol=1e-6)
    assert np.abs(coma - coma[:, ::-1]).max() > 0.1 * coma.max()
    trefoil = kernel(trefoil_waves=0.15)
    turned = scipy.ndimage.rotate(trefoil, 120, reshape=False, order=3)
    np.testing.assert_allclose(turned, trefoil, atol=0.03 * trefoil.max())
    assert np.abs(scipy.ndimage.rotate(trefoil, 60, reshape=False) - trefoil).max() > 0.1 * trefoil.max()


def test_depth_in_a_mismatched_specimen_blurs_and_a_matched_one_does_not() -> None:
    focus = point_spread(Optics(**OIL)).max()
    matched = point_spread(Optics(**OIL, depth_um=10, sample_index=1.515)).max()
    watery = [point_spread(Optics(**OIL, depth_um=depth, sample_index=1.38)).max() for depth in (2, 5, 10)]
    assert matched == pytest.approx(focus, rel=1e-5)
    assert focus > watery[0] > watery[1] > watery[2]


def test_focus_is_the_best_one() -> None:
    deep = {**OIL, "depth_um": 3.0, "sample_index": 1.45}
    best = point_spread(Optics(**deep)).max()
    assert all(point_spread(Optics(**deep, defocus_um=z)).max() < best for z in (-0.4, 0.4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"psf": "gaussian", "defocus_um": 1}, "gaussian.*defocus_um"),
        ({"psf": "gibson_lanni", "coma_waves": 0.1}, "gibson_lanni.*coma_waves"),
        ({"numerical_aperture": 1.4, "immersion_index": 1.33}, "needs a higher immersion_index"),
        ({"defocus": 1}, "Extra inputs"),
        ({"pixel_size_nm": float("nan")}, "pixel_size_nm"),
    ],
)
def test_options_without_effect_and_impossible_ones_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Optics(**values)


def test_a_blur_wider_than_any_image_is_refused() -> None:
    with pytest.raises(BadInput, match="at most 1025"):
        point_spread(Optics(defocus_um=50))
