"""Frosted glass, of ImageNet-C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.digital.noise import IMAGENET_C
from anyscope.corruptions.filters import gaussian_blur
from anyscope.corruptions.words import random_words


@dataclass(frozen=True)
class GlassBlur(Corruption):
    """Blurred, pixels shuffled with their neighbours, blurred again.

    The published code goes through the pixels from the lower right to the upper left and gives each the value that a
    random neighbour has at that moment; in images of several channels, as its benchmark has, the neighbour keeps its
    own. A value can so be handed on many times in one pass. Here the same is done at once: every pixel points to its
    neighbour, and pointers to pixels that had their turn before are followed to their ends.

    Args:
        sigma_px: Standard deviation of either blur.
        reach_px: Neighbours are from -reach to reach - 1 pixels away in y and in x.
        passes: How often all pixels are shuffled.
    """

    name = "glass_blur"
    family = "digital"
    summary = "pixels shuffled with their neighbours, as behind frosted glass"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {
        "sigma_px": (0.7, 0.9, 1, 1.1, 1.5),
        "reach_px": (1, 2, 2, 3, 4),
        "passes": (2, 1, 3, 2, 2),
    }

    sigma_px: float
    reach_px: float
    passes: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        channels, depth, height, width = images.shape[1:]
        device, reach, passes = images.device, int(self.reach_px), int(self.passes)
        words = random_words((depth, passes, height * width, 2), seeds, self.name, device)
        steps = words % (2 * reach) - reach
        blurred = gaussian_blur(images, self.sigma_px).flatten(-2)
        for turn in range(passes):
            source = _sources(steps[:, :, turn, :, 0], steps[:, :, turn, :, 1], (height, width), reach)
            blurred = blurred.gather(-1, source[:, None].expand(-1, channels, -1, -1))
        return Corrupted(gaussian_blur(blurred.reshape(images.shape), self.sigma_px).clamp_(0, 1))


def _sources(down: torch.Tensor, right: torch.Tensor, shape: tuple[int, int], reach: int) -> torch.Tensor:
    """Where the value of every pixel comes from: flat places of the type and shape [B, Z, H * W] of the steps."""
    height, width = shape
    place = torch.arange(height * width, device=down.device)
    row, column = place // width, place % width
    inner = (row > reach) & (row <= height - reach) & (column > reach) & (column <= width - reach)
    target = torch.where(inner, place + down * width + right, place)
    onward = (target > place) & inner[target]
    follow = torch.where(onward, target, place)
    while True:
        further = follow.gather(-1, follow)
        if torch.equal(further, follow):
            break
        follow = further
    return target.gather(-1, follow)
