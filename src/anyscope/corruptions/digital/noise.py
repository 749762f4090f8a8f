"""Noise of ImageNet-C (Hendrycks and Dietterich, ICLR 2019), on images in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.counting import poisson_like
from anyscope.corruptions.randomness import normal_like
from anyscope.corruptions.words import WORD, random_words

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
        return Corrupted(normal_like(images, seeds, self.name).mul_(self.sigma).add_(images).clamp_(0, 1))


@dataclass(frozen=True)
class ShotNoise(Corruption):
    """Noise of counting: ``Poisson(counts * image) / counts``.

    Args:
        counts: Expected counts of a pixel of value 1.
    """

    name = "shot_noise"
    family = "digital"
    summary = "Poisson noise of few counts"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"counts": (60, 25, 12, 5, 3)}

    counts: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        return Corrupted(poisson_like(self.counts * images, seeds, self.name).div_(self.counts).clamp_(0, 1))


@dataclass(frozen=True)
class ImpulseNoise(Corruption):
    """Salt and pepper: pixels that are 0 or 1, as many of either.

    Args:
        fraction: Expected fraction of pixels that are hit.
    """

    name = "impulse_noise"
    family = "digital"
    summary = "single black and white pixels"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"fraction": (0.03, 0.06, 0.09, 0.17, 0.27)}

    fraction: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        lot = random_words(images.shape[1:], seeds, self.name, images.device)
        # words at either end are hits: what shrinking leaves of them is at least 1/2, and 0 of the others
        spared = (1 - self.fraction) * WORD / 2
        hit = F.softshrink(lot.to(images.dtype).sub_((WORD - 1) / 2), round(spared))
        return Corrupted(hit.mul_(4).add_(images).clamp_(0, 1))


@dataclass(frozen=True)
class SpeckleNoise(Corruption):
    """White noise in proportion to the image.

    Args:
        sigma: Its standard deviation where the image is 1.
    """

    name = "speckle_noise"
    family = "digital"
    summary = "multiplicative white noise"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"sigma": (0.15, 0.2, 0.35, 0.45, 0.6)}

    sigma: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        return Corrupted(normal_like(images, seeds, self.name).mul_(self.sigma).add_(1).mul_(images).clamp_(0, 1))
