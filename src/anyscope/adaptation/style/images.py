"""Patches of both domains as translators learn from them: images alone, in -1..1."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch.utils.data import Dataset

from anyscope.adaptation.work import Work
from anyscope.models import InputTransform
from anyscope.models.translator import to_signed
from anyscope.training.batches import Batch
from anyscope.training.settings import AugmentationSettings

STILL = AugmentationSettings(
    flips=False, angle_degrees=0, scale=1, elastic_px=0, contrast=0, brightness=0, gamma=1, noise=0, blur_px=0
)
"""Patches as they are."""


@dataclass(frozen=True)
class DomainImages:
    """Batches by number, the same ones always.

    Source patches are not laid around foreground, and none come from labelled target images: a translator that sees
    other contents in one domain than in the other paints what it misses.

    Args:
        work: What is known.
        plain: The input transform of target images before translation.
        patch_px: Edge of a patch.
        batch: Patches in a batch.
        flips: Mirror them and turn them by quarters.
    """

    work: Work
    plain: InputTransform
    patch_px: int
    batch: int
    flips: bool

    @classmethod
    def of(cls, work: Work, *, patch_px: int, batch: int, flips: bool) -> DomainImages:
        """For the segmenter as it sees the target now."""
        settings = work.settings.model_copy(
            update={"patch_px": patch_px, "foreground": 0.0, "heads": ("mask",), "losses": {}}
        )
        own = replace(work, settings=settings, domains=replace(work.domains, few=None))
        return cls(own, work.segmenter.spec.input, patch_px, batch, flips)

    # Datasets keep the planes that were read.
    @cached_property
    def _target_patches(self) -> Dataset[Batch]:
        return self.work.target_patches("target", augmentation=STILL.model_copy(update={"flips": self.flips}))

    @cached_property
    def _source_patches(self) -> Dataset[Batch]:
        return self.work.source_patches("source", augmentation=STILL.model_copy(update={"flips": self.flips}))

    def target(self, number: int) -> torch.Tensor:
        """Images [B, C, H, W] of the target, the middle slice alone."""
        return self._shown(self.work.batch(self._target_patches, number, self.batch)["images"], self.plain)

    def source(self, number: int) -> torch.Tensor:
        """Images [B, C, H, W] of the source as the segmenter learns from them, the middle slice alone."""
        images = self.work.batch(self._source_patches, number, self.batch)["images"]
        return self._shown(images, self.work.source_input)

    @torch.no_grad()
    def _shown(self, images: torch.Tensor, transform: InputTransform) -> torch.Tensor:
        segmenter = self.work.segmenter
        with segmenter.seeing(transform):
            seen = segmenter.transform_input(images)
        return to_signed(middle_slice(seen, segmenter.spec.channels, segmenter.spec.neighbours))


def middle_slice(images: torch.Tensor, channels: int, neighbours: int) -> torch.Tensor:
    """The channels [B, C, H, W] of the slice that is predicted, of images [B, C (2 k + 1), H, W]."""
    return images[:, neighbours * channels : (neighbours + 1) * channels]
