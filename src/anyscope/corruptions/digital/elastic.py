"""Elastic deformation, of ImageNet-C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.digital.noise import IMAGENET_C
from anyscope.corruptions.filters import gaussian_inside, gaussian_radius
from anyscope.corruptions.warping import warp_images
from anyscope.corruptions.words import WORD, random_words

SIGMA_OF_SIDE = 0.01
LARGEST_OF_SIDE = 0.005
"""Scale of the smoothing and bound of the noise, as fractions of the side of the image."""
TRUNCATE = 3.0


@dataclass(frozen=True)
class ElasticTransform(Corruption):
    """Moved by smoothed noise; labels follow.

    Noise evenly within 0.5 % of the side is smoothed by a Gaussian of 1 % of the side and multiplied. Displacements
    have so a standard deviation of about 0.08 ``gain`` pixels, whatever the size of the image.

    Args:
        gain: What the smoothed noise is multiplied by.
    """

    name = "elastic_transform"
    family = "digital"
    summary = "small smooth displacements"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"gain": (12.5, 16.25, 21.25, 25, 30)}

    gain: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        device = images.device
        depth, height, width = images.shape[2:]
        sigma_px = (SIGMA_OF_SIDE * height, SIGMA_OF_SIDE * width)
        rows, columns = (2 * gaussian_radius(sigma, TRUNCATE) for sigma in sigma_px)
        # noise beyond the edges, so that displacements at the edges are as large as elsewhere
        words = random_words((2, depth, height + rows, width + columns), seeds, self.name, device)
        noise = words.to(images.dtype).mul_(2 / (WORD - 1)).sub_(1)
        field = gaussian_inside(noise, sigma_px, TRUNCATE)
        field[:, 0] *= self.gain * LARGEST_OF_SIDE * height
        field[:, 1] *= self.gain * LARGEST_OF_SIDE * width
        return Corrupted(warp_images(images, field).clamp_(0, 1), field)
