"""Displacement fields: moving images, and their labels with them.

A field [B, 2, Z, H, W] holds (dy, dx) in pixels: the pixel at (y, x) of the result shows what was at (y + dy, x + dx).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def warp_images(images: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Images [B, C, Z, H, W] seen through a field, bilinear; beyond the edge the last pixel is repeated."""
    batch, channels, depth, height, width = images.shape
    flat = images.transpose(1, 2).reshape(batch * depth, channels, height, width)
    grid = _grid(field).to(images.dtype)
    moved = F.grid_sample(flat, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return moved.reshape(batch, depth, channels, height, width).transpose(1, 2).contiguous()


def warp_labels(labels: torch.Tensor, field: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels [B, Z, H, W] (integers or bool) moved by the same field, by the nearest pixel.

    Returns:
        The labels, 0 where nothing was known, and the mask [B, Z, H, W] of where something was: pixels that show what
        lay beyond the edge are not scored.
    """
    height, width = labels.shape[-2:]
    y, x = _sources(field)
    row, column = y.round().long(), x.round().long()
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    moved = labels.flatten(-2).gather(-1, place.flatten(-2)).reshape(labels.shape)
    return torch.where(inside, moved, torch.zeros_like(moved)), inside


def _sources(field: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where every pixel comes from: rows and columns [B, Z, H, W]."""
    height, width = field.shape[-2:]
    y = torch.arange(height, device=field.device, dtype=field.dtype)[:, None]
    x = torch.arange(width, device=field.device, dtype=field.dtype)
    return field[:, 0] + y, field[:, 1] + x


def _grid(field: torch.Tensor) -> torch.Tensor:
    """The sampling grid [B * Z, H, W, 2] in the coordinates of torch: -1 and 1 are the centres of the outer pixels."""
    height, width = field.shape[-2:]
    y, x = _sources(field)
    scaled = [2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1]
    return torch.stack(scaled, dim=-1).flatten(0, 1)
