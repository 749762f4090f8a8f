"""Filters in Fourier space on images that are mirrored at their borders, and what separates two optics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.microscope import Optics, point_spread

_NOISE_TO_SIGNAL = 1e-3
_NOTHING = 1e-15


def filter_mirrored(images: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
    """Images under a filter.

    Images mirrored at their borders repeat with twice their size, so that a kernel of any width is exact and a transfer
    of 1 at frequency 0 keeps the mean.

    Args:
        images: [B, C, Z, H, W].
        transfer: Complex, [2 H, W + 1] for all or [B, 2 H, W + 1]: see :func:`transfer_of`.
    """
    return next(filters_mirrored(images, [transfer]))


def filters_mirrored(images: torch.Tensor, transfers: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Images under one filter after the other, as by :func:`filter_mirrored`.

    Each image is transformed by itself, so that none depends on the batch around it; and along one axis after the
    other, so that the mirrored half is neither made before it is needed nor brought back. Columns lie together in
    memory, in the spectra and in the filters that this module makes.
    """
    height, width = images.shape[-2:]
    spectra = []
    for image in images:
        columns = torch.fft.rfft(torch.cat([image, image.flip(-1)], dim=-1)).mT
        spectra.append(torch.fft.fft(torch.cat([columns, columns.flip(-1)], dim=-1)))
    for transfer in transfers:
        filters = transfer.expand(len(images), *transfer.shape[-2:]).to(images.device)
        filtered = []
        for spectrum, one in zip(spectra, filters, strict=True):
            columns = torch.fft.ifft(spectrum * one.mT)[..., :height]
            filtered.append(torch.fft.irfft(columns.mT, n=2 * width)[..., :width])
        yield torch.stack(filtered)


def transfer_of(kernel: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.complexfloating]:
    """Transfer function [2 H, W + 1] of a centred odd-sized kernel for images of ``shape`` (H, W), as exact as the
    kernel's numbers are."""
    exactness = np.result_type(kernel, np.complex64)
    rows, columns = (np.arange(length) - length // 2 for length in kernel.shape)
    down = np.exp(-2j * pi * np.fft.fftfreq(2 * shape[0])[:, None] * rows)
    across = np.exp(-2j * pi * columns[:, None] * np.fft.rfftfreq(2 * shape[1]))
    transfer: NDArray[np.complexfloating] = ((kernel @ across).T.astype(exactness) @ down.T.astype(exactness)).T
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
    before, after = (transfer_of(kernel.astype(np.float64), shape) for kernel in kernels)
    (start_y, start_x), (end_y, end_x) = (edge_shift_px(kernel) for kernel in kernels)
    y, x = np.fft.fftfreq(2 * shape[0])[:, None], np.fft.rfftfreq(2 * shape[1])
    after = after * np.exp(2j * pi * ((end_y - start_y) * y + (end_x - start_x) * x))
    floor = _NOISE_TO_SIGNAL**2
    ratio = (after * before.conj() + floor) / (np.abs(before) ** 2 + floor)
    ratio /= np.maximum(np.abs(ratio), 1)
    return torch.from_numpy(ratio.T.astype(np.complex64)).mT


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
    frequencies = torch.fft.fftfreq(2 * shape[0]), torch.fft.rfftfreq(2 * shape[1])
    down, across = (torch.exp(-2 * (pi * sigma_px * frequency) ** 2) for frequency in frequencies)
    for side in (down, across):
        side[side < _NOTHING] = 0  # products of such numbers are denormal, with which processors are slow
    return torch.outer(across, down).to(torch.complex64).mT
