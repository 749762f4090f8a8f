"""Filters in Fourier space on images that are mirrored at their borders, and what separates two optics."""

from __future__ import annotations

from functools import lru_cache
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.microscope import Optics, point_spread

_NOISE_TO_SIGNAL = 1e-3


def filter_mirrored(images: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
    """Images under a filter, one by one, so that none depends on the batch around it.

    Images mirrored at their borders repeat with twice their size, so that a kernel of any width is exact and a transfer
    of 1 at frequency 0 keeps the mean.

    Args:
        images: [B, C, Z, H, W].
        transfer: Complex, [2 H, W + 1] for all or [B, 2 H, W + 1]: see :func:`transfer_of`.
    """
    height, width = images.shape[-2:]
    filters = transfer.expand(len(images), *transfer.shape[-2:]).to(images.device)
    filtered = []
    for image, one in zip(images, filters, strict=True):
        mirrored = torch.cat([image, image.flip(-1)], dim=-1)
        mirrored = torch.cat([mirrored, mirrored.flip(-2)], dim=-2)
        filtered.append(torch.fft.irfft2(torch.fft.rfft2(mirrored) * one, s=mirrored.shape[-2:])[..., :height, :width])
    return torch.stack(filtered)


def transfer_of(kernel: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.complex128]:
    """Transfer function [2 H, W + 1] of a centred odd-sized kernel for images of ``shape`` (H, W)."""
    period = (2 * shape[0], 2 * shape[1])
    rows, columns = ((np.arange(n) - n // 2) % p for n, p in zip(kernel.shape, period, strict=True))
    wrapped = np.zeros(period)
    np.add.at(wrapped, (rows[:, None], columns[None, :]), kernel.astype(np.float64))
    transfer: NDArray[np.complex128] = np.fft.rfft2(wrapped)
    return transfer


@lru_cache(maxsize=8)
def differential_transfer(reference: Optics, other: Optics, shape: tuple[int, int]) -> torch.Tensor:
    """What turns an image made through the ``reference`` optics into one made through ``other``.

    H = (H_other conj(H_reference) + e^2) / (|H_reference|^2 + e^2) with e = 1e-3: the ratio of the transfer functions
    within the band of the reference, and 1 beyond it, where an image holds noise only. |H| is at most 1, as it is for
    an aberration of a perfect lens; what aberrated reference optics have lost is not brought back.

    An aberration such as coma also moves the image as a whole. That is taken back, so that straight edges stay where
    the labels have them (see :func:`edge_shift_px`).

    Args:
        reference, other: Two optics of one pixel size.
        shape: Pixels (H, W) of the images.

    Returns:
        Complex [2 H, W + 1] for :func:`filter_mirrored`; shared, not to be changed.
    """
    kernels = [point_spread(optics) for optics in (reference, other)]
    before, after = (transfer_of(kernel, shape) for kernel in kernels)
    (start_y, start_x), (end_y, end_x) = (edge_shift_px(kernel) for kernel in kernels)
    y, x = np.fft.fftfreq(2 * shape[0])[:, None], np.fft.rfftfreq(2 * shape[1])
    after = after * np.exp(2j * pi * ((end_y - start_y) * y + (end_x - start_x) * x))
    floor = _NOISE_TO_SIGNAL**2
    ratio = (after * before.conj() + floor) / (np.abs(before) ** 2 + floor)
    ratio /= np.maximum(np.abs(ratio), 1)
    return torch.from_numpy(ratio.astype(np.complex64))


def white_noise_sigma(images: torch.Tensor) -> torch.Tensor:
    """Standard deviation of white noise in each plane, [B, C, Z, 1, 1] of images [B, C, Z, H, W].

    The median of the absolute diagonal details of the finest Haar wavelet over 0.6745, which objects hardly touch
    (Donoho and Johnstone 1994, Biometrika 81:425).
    """
    height, width = (length - length % 2 for length in images.shape[-2:])
    even = images[..., :height, :width]
    across = even[..., 0::2] - even[..., 1::2]
    details = (across[..., 0::2, :] - across[..., 1::2, :]) / 2
    return (details.abs().flatten(-2).median(dim=-1).values / 0.6745)[..., None, None]


def noise_taken(images: torch.Tensor, transfer: torch.Tensor, white: torch.Tensor) -> torch.Tensor:
    """The noise that a filter took from noisy images: added to the filtered ones, it makes their noise white again.

    Args:
        images: [B, C, Z, H, W]; how strong their noise is, is measured by :func:`white_noise_sigma`.
        transfer: The filter.
        white: Standard normal numbers of their shape.
    """
    share = (1 - transfer.abs().square()).clamp(min=0).sqrt()
    return white_noise_sigma(images) * filter_mirrored(white, share)


def edge_shift_px(kernel: NDArray[np.floating]) -> tuple[float, float]:
    """How far (y, x) a kernel moves straight edges along the axes: the medians of its projections.

    A blurred step reaches half its height where half the light of the kernel lies on either side.
    """
    shifts = []
    for axis in (1, 0):
        line = kernel.sum(axis=axis, dtype=np.float64)
        borders = np.arange(len(line) + 1) - len(line) / 2
        shifts.append(float(np.interp(0.5, np.append(0.0, np.cumsum(line) / line.sum()), borders)))
    return shifts[0], shifts[1]


def gaussian_transfer(sigma_px: float, shape: tuple[int, int]) -> torch.Tensor:
    """Transfer function [2 H, W + 1] of a Gaussian blur."""
    y = torch.fft.fftfreq(2 * shape[0])[:, None]
    x = torch.fft.rfftfreq(2 * shape[1])
    return torch.exp(-2 * (pi * sigma_px) ** 2 * (y**2 + x**2)).to(torch.complex64)
