"""What is decided once for every plane of every image, and the coordinates of its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anyscope.corruptions.randomness import uniform_numbers


def plane_numbers(seeds: Sequence[int], stream: str, images: torch.Tensor, count: int) -> torch.Tensor:
    """``count`` numbers evenly from 0..1 for every plane of ``images`` [B, C, Z, H, W]: [count, B, Z, 1, 1], so that
    they unpack and spread over the pixels."""
    batch, _, depth = images.shape[:3]
    numbers = uniform_numbers(seeds, stream, depth * count, 0, 1, images.device)
    return numbers.reshape(batch, depth, count).permute(2, 0, 1)[..., None, None]


def plane_means(images: torch.Tensor) -> torch.Tensor:
    """Mean of every plane and channel: [B, C, Z, 1, 1]."""
    return images.mean(dim=(-2, -1), keepdim=True)


def rows_and_columns(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates in pixels from the centre of the image: y [H, 1] and x [W]."""
    height, width = images.shape[-2:]
    y = torch.arange(height, device=images.device, dtype=torch.float32) - (height - 1) / 2
    x = torch.arange(width, device=images.device, dtype=torch.float32) - (width - 1) / 2
    return y[:, None], x


def shorter_side(images: torch.Tensor) -> int:
    """Length of the shorter side of the planes, in pixels."""
    return min(images.shape[-2:])
