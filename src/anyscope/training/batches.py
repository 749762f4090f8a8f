"""Batches of augmented patches with the targets of the heads. Patch ``n`` is the same whoever prepares it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from anyscope.contracts import Task
from anyscope.datasets import LabelledImages, UnlabelledImages
from anyscope.datasets.patches import Patch, PatchSampler
from anyscope.datasets.planes import PlaneReader, Restyle
from anyscope.instances import targets
from anyscope.seeding import derive_seed, generator
from anyscope.training.augmentation import augment, margin_px
from anyscope.training.settings import AugmentationSettings, LearnSettings, TrainSettings

Batch = dict[str, torch.Tensor]
"""``images`` [B, C, H, W] in 0..1, ``targets`` [B, heads, H, W], ``valid`` [B, H, W]."""
RestylePatch = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]


@dataclass(frozen=True)
class PatchDataset(Dataset[Batch]):
    """Labelled patches by number.

    Args:
        sampler: Where they are cut.
        size: Edge of a patch in pixels.
        heads, classes: What the targets are made for.
        augmentation: How they are varied.
        restyle: Changes the grey levels of a cut (C, y, x) before that, with the patch's own generator.
    """

    sampler: PatchSampler
    size: int
    heads: tuple[str, ...]
    classes: int
    augmentation: AugmentationSettings
    restyle: RestylePatch | None = None

    def __getitem__(self, number: int) -> Batch:
        """The patch with the given number, augmented, with its targets."""
        patch = self.sampler.draw(number)
        if self.restyle is not None:
            image = self.restyle(patch.image, generator(self.sampler.seed, "style", number))
            patch = Patch(image, patch.labels, patch.valid)
        random = generator(self.sampler.seed, "augmentation", number)
        patch = augment(patch, self.size, self.augmentation, random)
        maps, valid = _targets(patch, self.heads, self.classes)
        return {"images": torch.from_numpy(patch.image), "targets": torch.from_numpy(maps), "valid": valid}


@dataclass(frozen=True)
class ImagePatches(Dataset[Batch]):
    """Patches without labels by number: ``images`` alone."""

    sampler: PatchSampler
    size: int
    augmentation: AugmentationSettings

    def __getitem__(self, number: int) -> Batch:
        """The patch with the given number, augmented."""
        random = generator(self.sampler.seed, "augmentation", number)
        patch = augment(self.sampler.draw(number), self.size, self.augmentation, random)
        return {"images": torch.from_numpy(patch.image)}


@dataclass(frozen=True)
class MixedPatches(Dataset[Batch]):
    """Patches of several datasets: which one has a number depends on the seed and the number alone.

    Args:
        datasets: Where patches come from.
        shares: How often from each; they sum to 1.
        seed: Seed of the choice.
    """

    datasets: tuple[Dataset[Batch], ...]
    shares: tuple[float, ...]
    seed: int

    def __getitem__(self, number: int) -> Batch:
        """The patch with the given number."""
        chosen = generator(self.seed, "mixture", number).choice(len(self.datasets), p=self.shares)
        return self.datasets[int(chosen)][number]


def labelled_patches(
    part: LabelledImages,
    settings: TrainSettings,
    augmentation: AugmentationSettings,
    classes: int,
    stream: str,
    *,
    zoom: float | None = None,
    restyle_plane: Restyle | None = None,
    restyle_patch: RestylePatch | None = None,
) -> PatchDataset:
    """Patches of labelled images as training wants them: cut large enough to be turned and zoomed.

    Args:
        part: The images.
        settings: Task, heads, patch size, working pixels, seed.
        augmentation: How patches are varied.
        classes: Number of classes of the mask head.
        stream: Name of the stream of random numbers.
        zoom: Another than that of the settings.
        restyle_plane: See :class:`~anyscope.datasets.planes.PlaneReader`.
        restyle_patch: See :class:`PatchDataset`.
    """
    sampler = _sampler(part, settings, augmentation, stream, zoom, settings.task, settings.foreground, restyle_plane)
    return PatchDataset(sampler, settings.patch_px, settings.heads, classes, augmentation, restyle_patch)


def image_patches(
    part: UnlabelledImages,
    settings: LearnSettings,
    augmentation: AugmentationSettings,
    stream: str,
    *,
    zoom: float | None = None,
) -> ImagePatches:
    """Patches of images without labels. Arguments as for :func:`labelled_patches`."""
    return ImagePatches(_sampler(part, settings, augmentation, stream, zoom), settings.patch_px, augmentation)


def _sampler(
    part: LabelledImages | UnlabelledImages,
    settings: LearnSettings,
    augmentation: AugmentationSettings,
    stream: str,
    zoom: float | None,
    task: Task = "semantic",
    foreground: float = 0.0,
    restyle: Restyle | None = None,
) -> PatchSampler:
    zoom = settings.zoom if zoom is None else zoom
    planes = PlaneReader(part.regions, task, settings.intensity, settings.pixel_size_nm, zoom=zoom, restyle=restyle)
    cut = settings.patch_px + 2 * margin_px(settings.patch_px, augmentation)
    return PatchSampler(planes, cut, settings.neighbours, foreground, derive_seed(settings.seed, stream))


def _targets(patch: Patch, heads: tuple[str, ...], classes: int) -> tuple[NDArray[np.float32], torch.Tensor]:
    if patch.labels is None or patch.valid is None:
        raise ValueError("training patches need labels")
    maps, valid = targets(patch.labels[None], heads, classes)
    return maps[:, 0], torch.from_numpy(valid[0] & patch.valid)


class _Numbers(Sampler[int]):
    """The numbers of the patches of one epoch."""

    def __init__(self, first: int, count: int) -> None:
        self._first, self._count = first, count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._first, self._first + self._count))

    def __len__(self) -> int:
        return self._count


def epoch_loader(dataset: Dataset[Batch], epoch: int, steps: int, batch: int, workers: int) -> DataLoader[Batch]:
    """The batches of an epoch: the next ``steps * batch`` patches of the endless sequence."""
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=_Numbers(epoch * steps * batch, steps * batch),
        num_workers=workers,
        collate_fn=stack,
    )


def stack(items: Sequence[Batch]) -> Batch:
    """Patches as a batch."""
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}
