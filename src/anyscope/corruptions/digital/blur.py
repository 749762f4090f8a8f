"""Blurs of ImageNet-C, with its parameters; edges are continued by their last pixel."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.digital.noise import IMAGENET_C
from anyscope.corruptions.filters import extended, fast_shape, filtered, gaussian_blur, gaussian_kernel
from anyscope.corruptions.planes import plane_numbers

LARGEST_ANGLE_DEG = 45.0
"""Motion is within this angle of the horizontal, as in ImageNet-C."""


@dataclass(frozen=True)
class GaussianBlur(Corruption):
    """A Gaussian.

    Args:
        sigma_px: Its standard deviation.
    """

    name = "gaussian_blur"
    family = "digital"
    summary = "Gaussian blur"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"sigma_px": (1, 2, 3, 4, 6)}

    sigma_px: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        return Corrupted(gaussian_blur(images, self.sigma_px).clamp_(0, 1))


@dataclass(frozen=True)
class DefocusBlur(Corruption):
    """A disk, its rim softened by a small Gaussian against aliasing.

    Args:
        radius_px: Radius of the disk.
        rim_sigma_px: Standard deviation of the softening.
    """

    name = "defocus_blur"
    family = "digital"
    summary = "blur with a disk, as of a lens out of focus"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"radius_px": (3, 4, 6, 8, 10), "rim_sigma_px": (0.1, 0.5, 0.5, 0.5, 0.5)}

    radius_px: float
    rim_sigma_px: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        side = len(soft_disk(self.radius_px, self.rim_sigma_px))
        padded = extended(images, side // 2, side // 2)
        shape = fast_shape(padded)
        gain = _disk_gain(self.radius_px, self.rim_sigma_px, shape, images.device)
        return Corrupted(filtered(padded, gain, shape, (side, side)).clamp_(0, 1))


@functools.lru_cache(maxsize=16)
def soft_disk(radius_px: float, rim_sigma_px: float) -> torch.Tensor:
    """A disk [n, n] of unit sum, its rim softened. The softening is cut at 3 pixels, above a radius of 8 at 5, as in
    the published code; the disk is not cut, as its two largest are there."""
    rim = 1 if radius_px <= 8 else 2
    reach = int(radius_px) + rim
    position = torch.arange(-reach, reach + 1, dtype=torch.float32)
    disk = (position[:, None] ** 2 + position**2 <= radius_px**2).float()
    soft = gaussian_kernel(rim_sigma_px, (rim + 0.4) / rim_sigma_px)
    disk = F.conv2d(disk[None, None], torch.outer(soft, soft)[None, None], padding=rim)[0, 0]
    return disk / disk.sum()


@functools.lru_cache(maxsize=16)
def _disk_gain(radius_px: float, rim_sigma_px: float, shape: tuple[int, int], device: torch.device) -> torch.Tensor:
    gain: torch.Tensor = torch.fft.rfft2(soft_disk(radius_px, rim_sigma_px).to(device), s=shape)
    return gain


@dataclass(frozen=True)
class MotionBlur(Corruption):
    """A straight trail that fades as half a Gaussian, in a direction of its own for every plane.

    Args:
        radius_px: Half the length of the trail.
        sigma_px: Standard deviation of the Gaussian.
    """

    name = "motion_blur"
    family = "digital"
    summary = "a straight trail, as of a moving stage"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"radius_px": (10, 15, 15, 15, 20), "sigma_px": (3, 5, 8, 12, 15)}

    radius_px: float
    sigma_px: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        length = int(2 * self.radius_px + 1)
        height, width = images.shape[-2:]
        weights = torch.exp(-0.5 * (torch.arange(length) / self.sigma_px) ** 2)
        weights /= weights.sum()
        [angles] = plane_numbers(seeds, self.name, images, 1).cpu()
        blurred = torch.zeros_like(images)
        padded = extended(images, length, length)
        for (image, plane), number in np.ndenumerate(angles[..., 0, 0].numpy()):
            angle = math.radians(LARGEST_ANGLE_DEG * (2 * float(number) - 1))
            for step, weight in enumerate(weights.tolist()):
                row = length + math.ceil(step * math.sin(angle) - 0.5)
                column = length + math.ceil(step * math.cos(angle) - 0.5)
                seen = padded[image, :, plane, row : row + height, column : column + width]
                blurred[image, :, plane].add_(seen, alpha=weight)
        return Corrupted(blurred.clamp_(0, 1))


@dataclass(frozen=True)
class ZoomBlur(Corruption):
    """The mean of the image and of its enlargements by 1, 1 + step, ... about its centre.

    Args:
        beyond: The enlargements stay below this.
        step: From one enlargement to the next.
    """

    name = "zoom_blur"
    family = "digital"
    summary = "the image over its own enlargements"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"beyond": (1.11, 1.16, 1.21, 1.26, 1.31), "step": (0.01, 0.01, 0.02, 0.02, 0.03)}

    beyond: float
    step: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        zooms = np.arange(1, self.beyond, self.step).tolist()
        planes = images.flatten(1, 2)
        total = planes.clone()
        for zoom in zooms:
            total += _enlarged(planes, zoom)
        return Corrupted((total / (len(zooms) + 1)).clamp_(0, 1).reshape(images.shape))


def _enlarged(planes: torch.Tensor, zoom: float) -> torch.Tensor:
    """The middle of ``planes`` [B, N, H, W], enlarged bilinearly to the same size."""
    height, width = planes.shape[-2:]
    rows, columns = math.ceil(height / zoom), math.ceil(width / zoom)
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = planes[..., top : top + rows, left : left + columns]
    size = (round(rows * zoom), round(columns * zoom))
    return F.interpolate(middle, size=size, mode="bilinear", align_corners=True)[..., :height, :width]
