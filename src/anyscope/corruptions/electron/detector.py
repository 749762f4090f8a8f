"""Few electrons, and pixels of the detector that fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.counting import poisson_like
from anyscope.corruptions.randomness import uniform_like

DARKEST = 0.2
"""Electrons that come through where the image is 0, for each where it is 1."""


@dataclass(frozen=True)
class ElectronShotNoise(Corruption):
    """Few electrons at every pixel. Where the image is black, a fifth of them still come: stained membranes are not
    opaque, so that dark pixels are noisy too.

    Args:
        electrons: Expected electrons of a pixel of value 1.
    """

    name = "electron_shot_noise"
    family = "electron"
    summary = "Poisson noise of a low dose"
    source = "counting statistics; levels ours"
    levels: ClassVar[Levels] = {"electrons": (200, 80, 40, 20, 10)}

    electrons: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        counts = poisson_like(self.electrons * (DARKEST + (1 - DARKEST) * images), seeds, self.name)
        return Corrupted(((counts / self.electrons - DARKEST) / (1 - DARKEST)).clamp_(0, 1))


@dataclass(frozen=True)
class DeadPixels(Corruption):
    """Black dead pixels, and hits of X-rays, which saturate two by two pixels. None of them is valid.

    Args:
        dead: Expected fraction of dead pixels.
        hits: Expected hits for each pixel.
    """

    name = "dead_pixels"
    family = "electron"
    summary = "dead pixels and X-ray hits of the detector"
    source = "detector model of npj Comput Mater 2023, s41524-023-01188-0; levels ours"
    levels: ClassVar[Levels] = {
        "dead": (0.001, 0.002, 0.005, 0.01, 0.02),
        "hits": (0.0002, 0.0005, 0.001, 0.002, 0.004),
    }

    dead: float
    hits: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        lot = uniform_like(images[:, 0], seeds, self.name)
        dead = lot < self.dead
        hit = F.max_pool2d(F.pad((lot > 1 - self.hits).to(images.dtype), (1, 0, 1, 0)), 2, stride=1) > 0
        marked = images.masked_fill(hit[:, None], 1).masked_fill_(dead[:, None], 0)
        return Corrupted(marked, valid=~(dead | hit))
