"""Views of target patches: the same places with other grey levels, and patches pasted into each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch.utils.data import Dataset

from anyscope.adaptation.work import Work
from anyscope.seeding import generator
from anyscope.training.augmentation import vary_appearance
from anyscope.training.batches import Batch, ImagePatches
from anyscope.training.settings import AppearanceSettings, AugmentationSettings

WEAK = "weak"


class WeakView(AppearanceSettings):
    """What the teacher sees: by default the grey levels as they are."""

    contrast: float = Field(0.0, ge=0, lt=1)
    brightness: float = Field(0.0, ge=0, le=1)
    gamma: float = Field(1.0, ge=1, le=5)
    noise: float = Field(0.0, ge=0, le=1)
    blur_px: float = Field(0.0, ge=0, le=10)


class StrongView(AppearanceSettings):
    """What the student sees: about twice the variation that supervised training uses."""

    contrast: float = Field(0.5, ge=0, lt=1)
    brightness: float = Field(0.2, ge=0, le=1)
    gamma: float = Field(1.7, ge=1, le=5)
    noise: float = Field(0.08, ge=0, le=1)
    blur_px: float = Field(1.5, ge=0, le=10)


@dataclass(frozen=True)
class ViewPatches(Dataset[Batch]):
    """Target patches by number, each in several views of one geometry.

    Args:
        patches: The patches, varied in their geometry alone.
        views: The name of each view, and how its grey levels are varied.
        seed: Seed of the variation.
    """

    patches: ImagePatches
    views: dict[str, AppearanceSettings]
    seed: int

    def __getitem__(self, number: int) -> Batch:
        """Of the patch with the given number each view (C, y, x) in 0..1 by its name."""
        image = self.patches[number]["images"].numpy()
        return {
            name: torch.from_numpy(np.ascontiguousarray(vary_appearance(image, how, self._random(name, number))))
            for name, how in self.views.items()
        }

    def _random(self, name: str, number: int) -> np.random.Generator:
        return generator(self.seed, name, number)


def target_views(work: Work, weak: WeakView, strong: StrongView, strong_views: int) -> ViewPatches:
    """Target patches with a view ``weak`` and views ``strong0``, ``strong1`` and so on, turned and bent as in training.

    Args:
        work: Whose target.
        weak, strong: How grey levels are varied.
        strong_views: Number of strong views.
    """
    patches = work.target_patches("target", augmentation=still(work.settings.augmentation))
    views: dict[str, AppearanceSettings] = {WEAK: weak}
    views |= {f"strong{number}": strong for number in range(strong_views)}
    return ViewPatches(patches, views, work.seed("views"))


def still(augmentation: AugmentationSettings) -> AugmentationSettings:
    """The same geometry, grey levels as they are."""
    return augmentation.model_copy(update=WeakView().model_dump())


Box = tuple[slice, slice]


def cutmix_box(size: int, random: np.random.Generator, *, chance: float = 0.5) -> Box | None:
    """A random rectangle within ``size`` x ``size`` pixels, or None.

    Its area is 2 to 40 % of the whole, height to width .3 to 1 / .3; as Yang et al. (CVPR 2023) draw it.

    Args:
        size: Edge of the patch in pixels.
        random: The generator of all draws.
        chance: Probability of a rectangle.
    """
    if random.random() >= chance:
        return None
    area = random.uniform(0.02, 0.4) * size**2
    ratio = np.exp(random.uniform(np.log(0.3), -np.log(0.3)))
    height, width = (min(size, max(1, round(edge))) for edge in (np.sqrt(area * ratio), np.sqrt(area / ratio)))
    y, x = random.integers(0, size - height + 1), random.integers(0, size - width + 1)
    return slice(int(y), int(y) + height), slice(int(x), int(x) + width)


def paste(batch: torch.Tensor, boxes: list[Box | None]) -> torch.Tensor:
    """A batch [B, K, H, W] in which every item shows the next one within its box, the last one the first.

    Source: CutMix, Yun et al., ICCV 2019.
    """
    mixed = batch.clone()
    for number, box in enumerate(boxes):
        if box is not None:
            mixed[number, :, box[0], box[1]] = batch[(number + 1) % len(batch), :, box[0], box[1]]
    return mixed


def turned(images: torch.Tensor, turn: int) -> torch.Tensor:
    """Images [..., N, N] in one of the eight orientations: quarter turns, from 4 on mirrored before."""
    images = images.flip(-1) if turn >= 4 else images
    return images.rot90(turn % 4, (-2, -1))


def turned_back(images: torch.Tensor, turn: int) -> torch.Tensor:
    """The reverse of :func:`turned`."""
    images = images.rot90(-(turn % 4), (-2, -1))
    return images.flip(-1) if turn >= 4 else images
