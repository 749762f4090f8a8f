"""Precipitate of the stain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.filters import gaussian_blur
from anyscope.corruptions.planes import plane_numbers

SIZES_PX = (1.5, 3.0, 7.0)
SHARES = (0.6, 0.3, 0.1)
"""Standard deviations of the three classes of blobs, and how many of them belong to each."""
MOST_BLOBS = 60
OPACITY = 4.0
"""A blob lets exp(-4) through in its middle."""
LEAST_TRANSMISSION = 0.1
PIVOT, RAISED = 147 / 255, 170 / 255
"""Grey 147 of 255 becomes 170, whatever alpha."""


@dataclass(frozen=True)
class StainPrecipitate(Corruption):
    """Dark graded blobs of several sizes over an image that the precipitate has also made paler.

    First ``alpha image + beta`` with ``beta = (170 - 147 alpha) / 255``, then the blobs, multiplied. Pixels of which
    less than a tenth comes through are not valid.

    Args:
        alpha: Contrast that remains beside the blobs.
        blobs: How many there are.
    """

    name = "stain_precipitate"
    family = "electron"
    summary = "dark blobs of stain"
    source = "ssTEM-restoration: alpha .3-.5, beta 170 - 147 alpha; the first two levels ours"
    levels: ClassVar[Levels] = {"alpha": (0.9, 0.7, 0.5, 0.4, 0.3), "blobs": (10, 20, 30, 45, 60)}

    alpha: float
    blobs: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        transmission = torch.exp(-OPACITY * self.density(images, seeds))
        paler = images * self.alpha + (RAISED - PIVOT * self.alpha)
        return Corrupted((paler * transmission).clamp_(0, 1), valid=transmission[:, 0] >= LEAST_TRANSMISSION)

    def density(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """How much stain there is, 1 in the middle of a single blob: [B, 1, Z, H, W]."""
        height, width = images.shape[-2:]
        down, right, size = plane_numbers(seeds, self.name, images, 3 * MOST_BLOBS)[..., 0, 0].chunk(3)
        place = (down * height).long().clamp_(max=height - 1) * width + (right * width).long().clamp_(max=width - 1)
        present = torch.arange(MOST_BLOBS, device=images.device)[:, None, None] < self.blobs
        density = torch.zeros_like(images[:, :1])
        low = 0.0
        for sigma_px, share in zip(SIZES_PX, SHARES, strict=True):
            of_class = present & (size >= low) & (size < low + share)
            points = torch.zeros_like(density).flatten(-2)
            points.scatter_add_(-1, place.permute(1, 2, 0)[:, None], of_class.permute(1, 2, 0)[:, None].float())
            peak = 2 * torch.pi * sigma_px**2
            density += gaussian_blur(points.reshape(density.shape), sigma_px).mul_(peak)
            low += share
        return density.clamp_(min=0)
