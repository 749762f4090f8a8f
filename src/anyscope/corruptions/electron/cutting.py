"""Stripes that the ion beam or the knife leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.planes import plane_numbers, rows_and_columns
from anyscope.corruptions.randomness import normal_like

HALF_WEDGE_DEG = 3.0
COARSEST_STRIPE_PX = 64
MOST_MARKS = 10


@dataclass(frozen=True)
class Curtaining(Corruption):
    """Vertical curtains of ion milling: brightness varies from column to column and little along the columns.

    The pattern is white noise of which only a narrow wedge of Fourier space is kept: 3 degrees to either side of the
    horizontal axis, without periods of more than 64 pixels. The image is multiplied by one plus it.

    Args:
        sigma: Standard deviation of the pattern.
    """

    name = "curtaining"
    family = "electron"
    summary = "vertical stripes of ion milling"
    source = "a narrow wedge in Fourier space; levels ours"
    levels: ClassVar[Levels] = {"sigma": (0.03, 0.06, 0.1, 0.15, 0.2)}

    sigma: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        height, width = images.shape[-2:]
        spectrum = torch.fft.rfft2(normal_like(images[:, 0], seeds, self.name))
        spectrum *= wedge(height, width).to(images.device)
        pattern = torch.fft.irfft2(spectrum, s=(height, width))
        pattern *= self.sigma / pattern.std(dim=(-2, -1), keepdim=True).clamp_(min=1e-12)
        return Corrupted((images * (1 + pattern[:, None])).clamp_(0, 1))


def wedge(height: int, width: int) -> torch.Tensor:
    """Which of the frequencies [height, width // 2 + 1] of ``rfft2`` are those of curtains."""
    vertical, horizontal = torch.fft.fftfreq(height)[:, None].abs(), torch.fft.rfftfreq(width)
    narrow = vertical <= math.tan(math.radians(HALF_WEDGE_DEG)) * horizontal
    kept: torch.Tensor = narrow & (horizontal >= max(1 / COARSEST_STRIPE_PX, 1 / width))
    return kept


@dataclass(frozen=True)
class KnifeMarks(Corruption):
    """Parallel straight scratches across the section, each 1 to 5 pixels wide, brighter or darker.

    Args:
        marks: How many.
        strength: What each adds or takes away.
    """

    name = "knife_marks"
    family = "electron"
    summary = "parallel scratches of the knife"
    source = "pytorch_connectomics: 2-10 stripes of 1-5 px, +-.2, at any angle"
    levels: ClassVar[Levels] = {"marks": (2, 4, 6, 8, 10), "strength": (0.1, 0.125, 0.15, 0.175, 0.2)}

    marks: float
    strength: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        turn, *numbers = plane_numbers(seeds, self.name, images, 1 + 3 * MOST_MARKS)
        height, width = images.shape[-2:]
        y, x = rows_and_columns(images)
        sine, cosine = torch.sin(math.pi * turn), torch.cos(math.pi * turn)
        across = y * sine + x * cosine
        extent = (sine.abs() * height + cosine.abs() * width) / 2
        pattern = torch.zeros_like(across)
        for mark in range(int(self.marks)):
            place, breadth, sign = numbers[3 * mark : 3 * mark + 3]
            inside = (across - 0.8 * (2 * place - 1) * extent).abs() <= (1 + 4 * breadth) / 2
            pattern += inside * torch.where(sign < 0.5, -self.strength, self.strength)
        return Corrupted((images + pattern[:, None]).clamp_(0, 1))
