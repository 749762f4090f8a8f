"""Point spread functions: Gaussian, Gibson-Lanni, and a pupil function with Zernike aberrations.

Every kernel is float32, odd-sized, centred, integrated over the area of the pixels, and sums to 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.microscope.settings import Optics

Kernel = NDArray[np.float32]

_RINGS = 8  # Airy radii beyond the rays: 98 % of the energy of an Airy pattern
_LARGEST_HALF_PX = 512


@lru_cache(maxsize=64)
def point_spread(optics: Optics) -> Kernel:
    """The kernel (k, k) of ``optics``, cached; read-only because it is shared."""
    kernel = _MODELS[optics.psf](optics)
    normalised: Kernel = (kernel / kernel.sum()).astype(np.float32)
    normalised.flags.writeable = False
    return normalised


def gaussian_sigma_px(optics: Optics) -> float:
    """Width of the Gaussian PSF in pixels: 0.61 lambda / (3 NA pixel), that is, the Airy radius is three sigma.

    >>> round(gaussian_sigma_px(Optics(wavelength_nm=576, numerical_aperture=1.4, pixel_size_nm=65)), 3)
    1.287
    """
    return optics.airy_radius_nm / (3 * optics.pixel_size_nm)


def radial_profile(optics: Optics, radius_um: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intensity of the Gibson-Lanni PSF at distances from the optical axis, relative to the aberration-free centre.

    PSF(r) = |2 * integral over rho in 0..1 of exp(i k OPD(rho)) J0(k r NA rho) rho d rho|^2, by Gauss-Legendre
    quadrature with points enough for the fastest oscillation (Gibson & Lanni 1992, J Opt Soc Am A 9:154).

    Args:
        optics: Parameters; Zernike aberrations are not part of this model.
        radius_um: Distances, any shape.
    """
    k_na = 2 * np.pi * optics.numerical_aperture / (optics.wavelength_nm / 1000)
    swing = k_na * (float(np.max(radius_um, initial=0)) + _ray_radius_um(optics))
    node, weight = scipy.special.roots_legendre(48 + int(swing))
    total_reflection = min(optics.sample_index / optics.numerical_aperture, 1.0)  # a kink of the wavefront
    ends = ((0.0, total_reflection), (total_reflection, 1.0)) if total_reflection < 1 else ((0.0, 1.0),)
    rho = np.concatenate([low + (node + 1) / 2 * (high - low) for low, high in ends])
    weight = np.concatenate([weight / 2 * (high - low) for low, high in ends])
    pupil = 2 * weight * rho * np.exp(2j * np.pi * mount_wavefront(optics, rho))
    flat = np.ravel(radius_um)
    field = np.empty(flat.shape, dtype=np.complex128)
    for part in range(0, flat.size, 1024):
        field[part : part + 1024] = scipy.special.j0(k_na * np.outer(flat[part : part + 1024], rho)) @ pupil
    intensity: NDArray[np.float64] = (np.abs(field) ** 2).reshape(np.shape(radius_um))
    return intensity


def mount_wavefront(optics: Optics, rho: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Wavefront error in wavelengths over the pupil radius ``rho`` (0..1) by the formula of Gibson and Lanni.

    Their OPD = z sqrt(ni^2 - (NA rho)^2) + zp sqrt(ns^2 - (NA rho)^2) + (tg - tg*) sqrt(ng^2 - (NA rho)^2) where the
    immersion is the one the objective was made for. Rays beyond total reflection (NA rho > ns) decay with depth. The
    stage position z is ``defocus_um`` from best focus, that is, from where the variance of the wavefront error over
    the pupil is least: a user refocuses, and only the spherical aberration is left.
    """
    axial = _cosine(optics.immersion_index, optics, rho)
    path_um = _mount_um(optics, rho) + (_best_focus_um(optics) + optics.defocus_um) * axial
    return path_um * (1000 / optics.wavelength_nm)


def _cosine(index: float, optics: Optics, rho: NDArray[np.float64]) -> NDArray[np.complex128]:
    """sqrt(n^2 - (NA rho)^2): refractive index times cosine of the ray's angle."""
    cosine: NDArray[np.complex128] = np.sqrt(index**2 - (optics.numerical_aperture * rho) ** 2 + 0j)
    return cosine


def _best_focus_um(optics: Optics) -> float:
    """Stage position that leaves the least variance of the wavefront error over the light that passes the pupil."""
    rho = np.sqrt((np.arange(512) + 0.5) / 512)
    axial = _cosine(optics.immersion_index, optics, rho).real
    mount = _mount_um(optics, rho)
    passed = np.exp(-4 * np.pi * mount.imag * 1000 / optics.wavelength_nm)
    axial = axial - np.average(axial, weights=passed)
    return -float((passed * axial) @ mount.real / ((passed * axial) @ axial))


def _mount_um(optics: Optics, rho: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Path difference in specimen and coverslip."""
    path_um = optics.depth_um * _cosine(optics.sample_index, optics, rho)
    excess_um = optics.coverslip_um - optics.design_coverslip_um
    return path_um + excess_um * _cosine(optics.coverslip_index, optics, rho)


def zernike_wavefront(optics: Optics, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zernike aberrations in wavelengths at the pupil coordinates ``u`` (along x) and ``v`` (along y) in the unit disk.

    The polynomials are normalised to a root mean square of 1 over the disk (Noll 1976, J Opt Soc Am 66:207).
    """
    rho2 = u**2 + v**2
    astigmatism = np.sqrt(6) * (u**2 - v**2)
    coma = np.sqrt(8) * (3 * rho2 - 2) * u
    trefoil = np.sqrt(8) * (u**3 - 3 * u * v**2)
    spherical = np.sqrt(5) * (6 * rho2**2 - 6 * rho2 + 1)
    wavefront: NDArray[np.float64] = (
        optics.astigmatism_waves * astigmatism
        + optics.coma_waves * coma
        + optics.trefoil_waves * trefoil
        + optics.spherical_waves * spherical
    )
    return wavefront


def _gaussian(optics: Optics) -> NDArray[np.float64]:
    sigma = gaussian_sigma_px(optics)
    radius = int(np.ceil(4 * sigma + 0.5))
    edges = np.arange(-radius, radius + 2) - 0.5
    line = np.diff(scipy.special.ndtr(edges / sigma))
    kernel: NDArray[np.float64] = np.outer(line, line)
    return kernel


def _gibson_lanni(optics: Optics) -> NDArray[np.float64]:
    position_um, samples = _grid_um(optics)
    distance = np.hypot(position_um[:, None], position_um[None, :])
    table = np.arange(0, float(distance.max()) + 1e-9, optics.airy_radius_nm / 40000)
    table = np.append(table, table[-1] + optics.airy_radius_nm / 40000)
    return _mean_over_pixels(np.interp(distance, table, radial_profile(optics, table)), samples)


def _pupil(optics: Optics) -> NDArray[np.float64]:
    """Fourier transform of the pupil, evaluated directly at the wanted points."""
    position_um, samples = _grid_um(optics)
    frequency = optics.numerical_aperture / (optics.wavelength_nm / 1000)
    n = max(192, int(np.ceil(10 * frequency * float(position_um.max()))) + 32)
    u = (np.arange(n) + 0.5) * 2 / n - 1
    rho = np.hypot(u[:, None], u[None, :])
    aperture = np.clip((1 - rho) * n / 2 + 0.5, 0, 1)
    waves = mount_wavefront(optics, np.minimum(rho, 1)) + zernike_wavefront(optics, u[None, :], u[:, None])
    phases = np.exp(2j * np.pi * frequency * np.outer(position_um, u))
    field = phases @ (aperture * np.exp(2j * np.pi * waves)) @ phases.T
    return _mean_over_pixels(np.abs(field) ** 2, samples)


def _grid_um(optics: Optics) -> tuple[NDArray[np.float64], int]:
    """Positions along one side of the kernel, ``samples`` to a pixel, fine enough for the Airy pattern."""
    samples = 2 * int(np.ceil(4 * optics.pixel_size_nm / optics.airy_radius_nm)) + 1
    reach_um = _ray_radius_um(optics) + _RINGS * optics.airy_radius_nm / 1000
    half = int(np.ceil(reach_um * 1000 / optics.pixel_size_nm))
    if half > _LARGEST_HALF_PX:
        raise BadInput(
            "optics",
            f"the image of a point is {2 * half + 1} pixels wide",
            f"at most {2 * _LARGEST_HALF_PX + 1}",
            "lower defocus, depth or aberrations, or raise pixel_size_nm",
        )
    count = (2 * half + 1) * samples
    return (np.arange(count) - (count - 1) / 2) * optics.pixel_size_nm / 1000 / samples, samples


def _ray_radius_um(optics: Optics) -> float:
    """How far 90 % of the rays that pass the pupil miss the focus at most: slope of the wavefront error over the NA."""
    u = np.linspace(-1, 1, 200)
    rho = np.hypot(u[:, None], u[None, :])
    waves = mount_wavefront(optics, np.minimum(rho, 1))
    down, across = np.gradient(waves.real + zernike_wavefront(optics, u[None, :], u[:, None]), u, u)
    passes = (rho < 1 - u[-1] + u[-2]) & (waves.imag < 0.5)
    slope = float(np.quantile(np.hypot(down, across)[passes], 0.9))
    return slope * optics.wavelength_nm / 1000 / optics.numerical_aperture


def _mean_over_pixels(fine: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    pixels = fine.shape[0] // samples
    kernel: NDArray[np.float64] = fine.reshape(pixels, samples, pixels, samples).mean(axis=(1, 3))
    return kernel


_MODELS = {"gaussian": _gaussian, "gibson_lanni": _gibson_lanni, "pupil": _pupil}
