"""What happens to light between specimen and camera: pure functions on noise-free signals (y, x)."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Signal = NDArray[np.float32]


def convolve(signal: Signal, kernel: NDArray[np.floating]) -> Signal:
    """Convolve a signal (y, x) with a centred odd-sized kernel, mirrored at the border; the result is not negative."""
    half = tuple(length // 2 for length in kernel.shape)
    padded = np.pad(signal, [(h, h) for h in half], mode="symmetric")
    blurred = scipy.signal.oaconvolve(padded, kernel.astype(np.float32), mode="valid")
    positive: Signal = np.maximum(blurred, 0, dtype=np.float32)
    return positive


def haze(density: Signal, sigma_px: float) -> Signal:
    """Light from far out of focus: ``density`` (y, x) under a wide Gaussian, mirrored at the border.

    It is computed on a grid coarse enough to be quick and fine enough that sigma is at least three of its cells.
    """
    step = max(1, int(sigma_px / 3))
    edge = step * int(np.ceil(4 * sigma_px / step))
    padded = np.pad(density, [(edge, edge + -length % step) for length in density.shape], mode="symmetric")
    cells = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step).mean(axis=(1, 3))
    blurred = scipy.ndimage.gaussian_filter(cells, sigma_px / step)
    for axis, length in enumerate(density.shape):
        place = (np.arange(edge, edge + length) + 0.5) / step - 0.5
        low = place.astype(np.intp)
        weight = np.expand_dims((place - low).astype(np.float32), 1 - axis)
        blurred = blurred.take(low, axis) * (1 - weight) + blurred.take(low + 1, axis) * weight
    return np.ascontiguousarray(blurred, dtype=np.float32)


def illumination_profile(generator: np.random.Generator, shape: tuple[int, int], falloff: float) -> Signal:
    """Excitation S(x) over the field: a wide paraboloid around a random point near the middle.

    Its maximum is 1 and its minimum 1 - ``falloff``.
    """
    y, x = (np.linspace(-1, 1, length, dtype=np.float32) for length in shape)
    cy, cx = generator.uniform(-0.4, 0.4, 2).astype(np.float32)
    d2 = (y[:, None] - cy) ** 2 + (x[None, :] - cx) ** 2
    d2 -= d2.min()
    return np.asarray(1 - falloff * d2 / max(float(d2.max()), 1e-12), dtype=np.float32)


def illuminate(signal: Signal, profile: Signal, background: float) -> Signal:
    """Uneven excitation and additive light: I = S I_true + D (BaSiC, doi 10.1038/ncomms14836)."""
    return np.asarray(profile * signal + np.float32(background), dtype=np.float32)


def photobleach(signal: Signal, rate_per_s: float, time_s: float) -> Signal:
    """Fluorescence left after exposure, e^(-k t); to be applied before shot noise (J Microsc 1998)."""
    return np.asarray(signal * np.float32(np.exp(-rate_per_s * time_s)), dtype=np.float32)


def bleed_through(channels: NDArray[np.float32], mixing: NDArray[np.floating]) -> NDArray[np.float32]:
    """Crosstalk between channels: I_c = sum_j M_cj F_j.

    Args:
        channels: Fluorophore images (j, y, x).
        mixing: M (c, j), for example 1 on the diagonal and 0.02 to 0.3 beside it.
    """
    mixed: NDArray[np.float32] = np.einsum("cj,jyx->cyx", mixing, channels).astype(np.float32)
    return mixed
