"""Filters of planes, fast on CPU and GPU."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len

SHORT_RADIUS = 5
"""Up to here adding shifted images is quicker than a Fourier transform."""


def gaussian_blur(images: torch.Tensor, sigma_px: float | tuple[float, float], truncate: float = 4.0) -> torch.Tensor:
    """Planes [B, C, Z, H, W] under a Gaussian; beyond the edge the last pixel is repeated.

    Args:
        images: What to blur.
        sigma_px: Its standard deviation, or one for y and one for x.
        truncate: Where the kernel ends, in standard deviations.
    """
    sigma_y, sigma_x = sigma_px if isinstance(sigma_px, tuple) else (sigma_px, sigma_px)
    vertical = gaussian_kernel(sigma_y, truncate).to(images.device)
    horizontal = gaussian_kernel(sigma_x, truncate).to(images.device)
    padded = extended(images, len(vertical) // 2, len(horizontal) // 2)
    if max(len(vertical), len(horizontal)) // 2 <= SHORT_RADIUS:
        return _weighted_shifts(_weighted_shifts(padded, vertical, -2), horizontal, -1)
    shape = _fast_shape(padded)
    gain = torch.fft.fft(vertical, shape[0])[:, None] * torch.fft.rfft(horizontal, shape[1])
    return _filtered(padded, gain, shape, len(vertical), len(horizontal))


def gaussian_kernel(sigma_px: float, truncate: float = 4.0) -> torch.Tensor:
    """A sampled Gaussian of unit sum."""
    radius = int(truncate * sigma_px + 0.5)
    position = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (position / sigma_px) ** 2)
    return (kernel / kernel.sum()).float()


def disk_blur(images: torch.Tensor, radius_px: float) -> torch.Tensor:
    """Mean over the pixels whose centres are within ``radius_px``, without padding: [B, C, Z, H - 2r, W - 2r] with the
    whole part ``r`` of the radius. A disk is a stack of runs of pixels, whose sums are differences of running sums."""
    reach = int(radius_px)
    height, width = (length - 2 * reach for length in images.shape[-2:])
    mean = images.mean(dim=(-2, -1), keepdim=True)  # without it running sums grow and lose digits
    running = F.pad((images - mean).cumsum_(-1), (1, 0))
    total = torch.zeros((*images.shape[:-2], height, width), device=images.device, dtype=images.dtype)
    area = 0
    for row in range(reach + 1):
        half = int(math.sqrt(radius_px**2 - row**2))
        rows = running.narrow(-2, reach - row, height)
        if row:
            rows = rows + running.narrow(-2, reach + row, height)
        total.add_(rows.narrow(-1, reach + half + 1, width)).sub_(rows.narrow(-1, reach - half, width))
        area += (2 * half + 1) * (2 if row else 1)
    return total.div_(area).add_(mean)


def shifted_sums(padded: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """A short kernel along y and along x, without padding."""
    return _weighted_shifts(_weighted_shifts(padded, kernel, -2), kernel, -1)


def extended(images: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Planes with their outermost pixels repeated on all sides."""
    padded = F.pad(images.flatten(1, 2), (columns, columns, rows, rows), mode="replicate")
    return padded.reshape(*images.shape[:3], *padded.shape[-2:])


def mirrored(images: torch.Tensor, border: int) -> torch.Tensor:
    """Planes continued on all sides by their mirror images, as far as it takes; the outer pixel is not doubled."""
    for axis in (-2, -1):
        length = images.shape[axis]
        period = max(2 * length - 2, 1)
        place = torch.arange(-border, length + border, device=images.device) % period
        images = images.index_select(axis, torch.minimum(place, period - place).clamp(0, length - 1))
    return images


def _weighted_shifts(images: torch.Tensor, kernel: torch.Tensor, axis: int) -> torch.Tensor:
    """Symmetric kernel along one axis, without padding."""
    weights = kernel.tolist()
    length = images.shape[axis] - len(weights) + 1
    total: torch.Tensor = images.narrow(axis, 0, length) * weights[0]
    for start, weight in enumerate(weights[1:], 1):
        total.add_(images.narrow(axis, start, length), alpha=weight)
    return total


def _fast_shape(images: torch.Tensor) -> tuple[int, int]:
    """Lengths at least those of the planes of which Fourier transforms are quick."""
    height, width = images.shape[-2:]
    return int(next_fast_len(height, real=True)), int(next_fast_len(width, real=True))


def _filtered(
    padded: torch.Tensor, gain: torch.Tensor, shape: tuple[int, int], kernel_height: int, kernel_width: int
) -> torch.Tensor:
    """The part of a circular convolution that the padding has kept from wrapping round."""
    height, width = padded.shape[-2:]
    result: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(padded, s=shape).mul_(gain), s=shape)
    return result[..., kernel_height - 1 : height, kernel_width - 1 : width].contiguous()
