"""Taking the noise out of real images, so that a painter learns the light and not the camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anyscope.adaptation.appearance import noise_level

Floats = NDArray[np.float32]
_CLEAN = 1e-3
"""Noise below a quarter of a grey level of 256 is left as it is."""


def clean(image: Floats) -> Floats:
    """An estimate of the noise-free image: non-local means, as strong as the noise that is measured.

    Args:
        image: (y, x) in 0..1.

    Source: Buades, Coll and Morel, CVPR 2005, by scikit-image, with its recommended h = .8 sigma; the noise is
    measured as in :func:`anyscope.adaptation.appearance.noise_level`.
    """
    from skimage.restoration import denoise_nl_means

    sigma = noise_level(image.astype(np.float64))
    if sigma is None or sigma < _CLEAN:
        return image
    cleaned = denoise_nl_means(image, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, fast_mode=True)
    return np.asarray(np.clip(cleaned, 0, 1), np.float32)
