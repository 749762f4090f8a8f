"""Noise of ImageNet-C (Hendrycks and Dietterich, ICLR 2019), on images in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.randomness import normal_like

IMAGENET_C = "ImageNet-C: Hendrycks, Dietterich, ICLR 2019, arXiv 1903.12261"


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Additive white noise.

    Args:
        sigma: Its standard deviation.
    """

    name = "gaussian_noise"
    family = "digital"
    summary = "additive white noise"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"sigma": (0.08, 0.12, 0.18, 0.26, 0.38)}

    sigma: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        return Corrupted((images + self.sigma * normal_like(images, seeds, self.name)).clamp_(0, 1))
