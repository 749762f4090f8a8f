"""Filters of planes, fast on CPU and GPU."""

from __future__ import annotations

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
    padded = extended(images, *(gaussian_radius(sigma, truncate) for sigma in (sigma_y, sigma_x)))
    return gaussian_inside(padded, (sigma_y, sigma_x), truncate)


def gaussian_inside(images: torch.Tensor, sigma_px: tuple[float, float], truncate: float = 4.0) -> torch.Tensor:
    """The same without anything beyond the edges: smaller by the radius of the kernel on all sides."""
    vertical, horizontal = (gaussian_kernel(sigma, truncate).to(images.device) for sigma in sigma_px)
    if max(len(vertical), len(horizontal)) // 2 <= SHORT_RADIUS:
        return _weighted_shifts(_weighted_shifts(images, vertical, -2), horizontal, -1)
    shape = fast_shape(images)
    gain = torch.fft.fft(vertical, shape[0])[:, None] * torch.fft.rfft(horizontal, shape[1])
    return filtered(images, gain, shape, (len(vertical), len(horizontal)))


def gaussian_radius(sigma_px: float, truncate: float = 4.0) -> int:
    """Pixels to either side of the middle of a sampled Gaussian."""
    return int(truncate * sigma_px + 0.5)


def gaussian_kernel(sigma_px: float, truncate: float = 4.0) -> torch.Tensor:
    """A sampled Gaussian of unit sum."""
    radius = gaussian_radius(sigma_px, truncate)
    position = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (position / sigma_px) ** 2)
    return (kernel / kernel.sum()).float()


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


def fast_shape(images: torch.Tensor) -> tuple[int, int]:
    """Lengths at least those of the planes of which Fourier transforms are quick."""
    height, width = images.shape[-2:]
    return int(next_fast_len(height, real=True)), int(next_fast_len(width, real=True))


def filtered(
    images: torch.Tensor, gain: torch.Tensor, shape: tuple[int, int], kernel_shape: tuple[int, int]
) -> torch.Tensor:
    """Planes convolved with a kernel of odd sides, where the kernel fits in: smaller by its radius on all sides.

    Args:
        images: [B, C, Z, H, W].
        gain: The kernel's ``rfft2`` at ``shape``.
        shape: Height and width of the transforms, at least those of the planes.
        kernel_shape: Height and width of the kernel.
    """
    height, width = images.shape[-2:]
    result: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(images, s=shape).mul_(gain), s=shape)
    return result[..., kernel_shape[0] - 1 : height, kernel_shape[1] - 1 : width].contiguous()
