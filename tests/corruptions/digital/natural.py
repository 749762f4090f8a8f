"""A grey image with the spectrum of natural ones, and edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def natural_image(side: int, seed: int = 0) -> NDArray[np.float32]:
    """Noise with an amplitude of 1/f, and lighter disks with sharp rims on it, in 0..1: [side, side]."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = 1
    image = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) / frequency, s=(side, side))
    image = 0.4 + 0.12 * image / image.std()
    y, x = np.mgrid[:side, :side]
    for _ in range(12):
        row, column = rng.uniform(0, side, 2)
        image += 0.2 * (np.hypot(y - row, x - column) < rng.uniform(0.03, 0.1) * side)
    levels = np.round(image.clip(0, 1) * 255).astype(np.float32)
    return levels / np.float32(255)
