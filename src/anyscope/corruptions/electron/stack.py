"""What differs from section to section: missing and pale sections, drifting contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.planes import plane_means, plane_numbers

GUNPOWDER = "gunpowder, DefectAugment: each with probability .05, contrast x .1; levels ours"


def chosen_sections(images: torch.Tensor, seeds: Sequence[int], stream: str, probability: float) -> torch.Tensor:
    """Mask [B, Z] of sections, each chosen with ``probability``, but at least one of every stack and, where it has
    several, never all."""
    [lot] = plane_numbers(seeds, stream, images, 1)
    lot = lot[..., 0, 0]
    chosen: torch.Tensor = (lot < probability).scatter_(1, lot.argmin(dim=1, keepdim=True), True)
    if lot.shape[1] > 1:
        chosen.scatter_(1, lot.argmax(dim=1, keepdim=True), False)
    return chosen


@dataclass(frozen=True)
class MissingSection(Corruption):
    """Sections of a stack that are black and not valid. A single section has lost nearly all of its contrast instead.

    Args:
        probability: With which a section of a stack is missing; at least one is, and at least one is left.
        single_contrast: Contrast about the mean that is left where there is one section only.
    """

    name = "missing_section"
    family = "electron"
    summary = "sections are missing"
    source = GUNPOWDER
    levels: ClassVar[Levels] = {
        "probability": (0.05, 0.1, 0.15, 0.2, 0.3),
        "single_contrast": (0.15, 0.1, 0.07, 0.05, 0.03),
    }
    along_stack = True

    probability: float
    single_contrast: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        if images.shape[2] == 1:
            return Corrupted(torch.lerp(plane_means(images), images, self.single_contrast).clamp_(0, 1))
        there = ~chosen_sections(images, seeds, self.name, self.probability)[..., None, None]
        return Corrupted(images * there[:, None], valid=there.expand(-1, -1, *images.shape[-2:]).contiguous())


@dataclass(frozen=True)
class LowContrastSection(Corruption):
    """Sections that are paler than the others.

    Args:
        probability: With which a section of a stack is pale; at least one is, and at least one of several is not.
        contrast: Contrast about the section's mean that is left.
    """

    name = "low_contrast_section"
    family = "electron"
    summary = "sections are pale"
    source = GUNPOWDER
    levels: ClassVar[Levels] = {
        "probability": (0.05, 0.1, 0.15, 0.2, 0.3),
        "contrast": (0.5, 0.4, 0.3, 0.2, 0.1),
    }
    along_stack = True

    probability: float
    contrast: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        pale = chosen_sections(images, seeds, self.name, self.probability)[:, None, :, None, None]
        return Corrupted(torch.where(pale, torch.lerp(plane_means(images), images, self.contrast), images).clamp_(0, 1))


@dataclass(frozen=True)
class ContrastDrift(Corruption):
    """Every section has its own contrast and brightness: ``mean + (image - mean) scale + shift``.

    Args:
        scale_spread: ``scale`` is evenly within this of 1.
        shift_spread: ``shift`` is evenly within this of 0.
    """

    name = "contrast_drift"
    family = "electron"
    summary = "contrast and brightness differ from section to section"
    source = "gunpowder, IntensityAugment; levels ours"
    levels: ClassVar[Levels] = {
        "scale_spread": (0.1, 0.2, 0.35, 0.5, 0.7),
        "shift_spread": (0.05, 0.1, 0.15, 0.2, 0.3),
    }
    along_stack = True

    scale_spread: float
    shift_spread: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        scale, shift = self.drift(images, seeds)
        means = plane_means(images)
        return Corrupted((means + (images - means) * scale[:, None] + shift[:, None]).clamp_(0, 1))

    def drift(self, images: torch.Tensor, seeds: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift of every section: [B, Z, 1, 1] each."""
        scale, shift = plane_numbers(seeds, self.name, images, 2)
        return 1 + self.scale_spread * (2 * scale - 1), self.shift_spread * (2 * shift - 1)
