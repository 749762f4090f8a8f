"""Where a section is not flat and whole: folds, cracks and holes. Sizes in pixels are limited on small images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.planes import plane_means, plane_numbers, rows_and_columns, shorter_side
from anyscope.corruptions.warping import warp_images

RESIN_GREY = 0.85
"""Plain resin is brighter than most of the stained tissue."""
BARE_GREY = 1.0
"""Nothing is in the way of the beam."""
CRACK_BENDS = 6


@dataclass(frozen=True)
class Fold(Corruption):
    """A straight dark fold that has swallowed a strip of the section: what lay beside it has moved toward it.

    At the distance ``d`` from the edge of the line the image shows what was ``displacement exp(-d / (4 displacement))``
    further out; labels follow. The line itself is black and not valid, and beside it contrast is reduced, the less the
    further away.

    Args:
        half_width_px: Half the width of the black line; at most an eighth of the shorter side.
        displacement_px: Displacement beside the line; at most a quarter of the shorter side.
        contrast: Contrast beside the line, about the mean of the plane.
    """

    name = "fold"
    family = "electron"
    summary = "a dark fold that has swallowed a strip of the section"
    source = (
        "ssTEM-restoration (simulated support film folds): half-width 5-20 px, displacement 10-80 px, contrast .4-1"
    )
    levels: ClassVar[Levels] = {
        "half_width_px": (5, 8, 12, 16, 20),
        "displacement_px": (10, 20, 35, 55, 80),
        "contrast": (0.9, 0.8, 0.65, 0.5, 0.4),
    }

    half_width_px: float
    displacement_px: float
    contrast: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        turn, down, right = plane_numbers(seeds, self.name, images, 3)
        height, width = images.shape[-2:]
        y, x = rows_and_columns(images)
        normal_y, normal_x = torch.sin(math.pi * turn), torch.cos(math.pi * turn)
        signed = (y - (down - 0.5) * height / 2) * normal_y + (x - (right - 0.5) * width / 2) * normal_x
        half_width = min(self.half_width_px, shorter_side(images) / 8)
        displacement = min(self.displacement_px, shorter_side(images) / 4)
        distance = (signed.abs() - half_width).clamp_(min=0)
        outward = signed.sign() * displacement * torch.exp(-distance / (4 * displacement))
        field = torch.stack([outward * normal_y, outward * normal_x], dim=1)
        weaker = 1 - (1 - self.contrast) * torch.exp(-0.5 * (distance / (2 * half_width)) ** 2)
        valid = distance > 0
        moved = torch.lerp(plane_means(images), warp_images(images, field), weaker[:, None])
        return Corrupted((moved * valid[:, None]).clamp_(0, 1), field, valid)


@dataclass(frozen=True)
class Crack(Corruption):
    """A crooked crack from one side to the other, which shows plain resin; its pixels are not valid.

    Args:
        width_px: Its width; at most an eighth of the shorter side.
    """

    name = "crack"
    family = "electron"
    summary = "a crooked crack of resin grey"
    source = "ours"
    levels: ClassVar[Levels] = {"width_px": (2, 4, 6, 9, 12)}

    width_px: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        height, width = images.shape[-2:]
        turn, *offsets = plane_numbers(seeds, self.name, images, 2 + CRACK_BENDS)
        y, x = rows_and_columns(images)
        along_y, along_x = torch.sin(math.pi * turn), torch.cos(math.pi * turn)
        reach = math.hypot(height, width) / 2
        aside = [(offset - 0.5) * 0.3 * shorter_side(images) for offset in offsets]
        along, across = y * along_y + x * along_x, x * along_y - y * along_x
        length = 2 * reach / CRACK_BENDS
        squared = torch.full_like(along, math.inf)
        for bend, (begin, end) in enumerate(pairwise(aside)):
            past, beside, rise = along + reach - bend * length, across - begin, end - begin
            share = ((past * length + beside * rise) / (length**2 + rise**2)).clamp_(0, 1)
            squared = torch.minimum(squared, (past - share * length) ** 2 + (beside - share * rise) ** 2)
        valid = squared.sqrt_() > min(self.width_px, shorter_side(images) / 8) / 2
        return Corrupted(images.masked_fill(~valid[:, None], RESIN_GREY), valid=valid)


@dataclass(frozen=True)
class Hole(Corruption):
    """An oval hole through which the bare beam comes; its pixels are not valid.

    Args:
        fraction: Mean of its two diameters, as a fraction of the shorter side.
    """

    name = "hole"
    family = "electron"
    summary = "an oval white hole"
    source = "pytorch_connectomics: holes of .1-.3 of the side"
    levels: ClassVar[Levels] = {"fraction": (0.1, 0.15, 0.2, 0.25, 0.3)}

    fraction: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        down, right, turn, oblong = plane_numbers(seeds, self.name, images, 4)
        height, width = images.shape[-2:]
        y, x = rows_and_columns(images)
        y, x = y - (down - 0.5) * 0.8 * height, x - (right - 0.5) * 0.8 * width
        sine, cosine = torch.sin(math.pi * turn), torch.cos(math.pi * turn)
        radius = max(self.fraction * shorter_side(images) / 2, 1.0)
        first, second = radius * (1 + 0.3 * oblong), radius * (1 - 0.3 * oblong)
        valid = ((y * sine + x * cosine) / first) ** 2 + ((x * sine - y * cosine) / second) ** 2 > 1
        return Corrupted(images.masked_fill(~valid[:, None], BARE_GREY), valid=valid)
