"""Batches of augmented patches with the targets of the heads. Patch ``n`` is the same whoever prepares it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from anyscope.contracts import HeadLayout, Task
from anyscope.datasets import LabelledImages, UnlabelledImages
from anyscope.datasets.patches import Patch, PatchSampler
from anyscope.datasets.planes import PlaneReader, Restyle
from anyscope.instances import targets
from anyscope.seeding import derive_seed, generator
from anyscope.training.augmentation import augment, margin_px
from anyscope.training.settings import AugmentationSettings, LearnSettings, TrainSettings

Batch = dict[str, torch.Tensor]
"""``images`` [B, C, H, W] in 0..1, ``targets`` [B, T, H, W] (NaN where not known), ``valid`` [B, H, W]."""
_FAR_PX, _MOST_LABEL_NEIGHBOURS = 16.0, 8
"""In the volume, rims are looked for so far away (the tanh of the distance has then reached .96), and no further than
so many slices, for time's sake."""
RestylePatch = Callable[[int, NDArray[np.float32], np.random.Generator], NDArray[np.float32]]


@dataclass(frozen=True)
class PatchDataset(Dataset[Batch]):
    """Labelled patches by number.

    Args:
        sampler: Where they are cut.
        size: Edge of a patch in pixels.
        layout: What the targets are made for.
        augmentation: How they are varied.
        dimensions: 3 for outlines and distances in the volume, 2 for those in each slice.
        restyle: Changes the grey levels of a cut (C, y, x) of a region before that, with the patch's own generator.
        erosion_px: What affinities leave out along outlines; see :func:`anyscope.instances.targets`.
    """

    sampler: PatchSampler
    size: int
    layout: HeadLayout
    augmentation: AugmentationSettings
    dimensions: Literal[2, 3] = 2
    restyle: RestylePatch | None = None
    erosion_px: float = 0.0

    def __getitem__(self, number: int) -> Batch:
        """The patch with the given number, augmented, with its targets."""
        patch = self.sampler.draw(number)
        if self.restyle is not None:
            image = self.restyle(patch.region, patch.image, generator(self.sampler.seed, "style", number))
            patch = replace(patch, image=image)
        random = generator(self.sampler.seed, "augmentation", number)
        patch = augment(patch, self.size, self.augmentation, random)
        maps, valid = self._targets(patch)
        return {"images": torch.from_numpy(patch.image), "targets": torch.from_numpy(maps), "valid": valid}

    def _targets(self, patch: Patch) -> tuple[NDArray[np.float32], torch.Tensor]:
        if patch.labels is None or patch.valid is None:
            raise ValueError("training patches need labels")
        maps = targets(
            patch.labels,
            self.layout,
            patch.valid,
            planes=slice(patch.slice, patch.slice + 1),
            spacing=(patch.spacing, 1.0, 1.0) if self.dimensions == 3 else None,
            erosion_px=self.erosion_px,
        )
        return maps[:, 0], torch.from_numpy(patch.valid[patch.slice])


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
    layout: HeadLayout,
    stream: str,
    *,
    zoom: float | None = None,
    restyle_plane: Restyle | None = None,
    restyle_patch: RestylePatch | None = None,
) -> PatchDataset:
    """Patches of labelled images as training wants them: cut large enough to be turned and zoomed.

    Args:
        part: The images.
        settings: Task, patch size, working pixels, seed.
        augmentation: How patches are varied.
        layout: What the targets are made for.
        stream: Name of the stream of random numbers.
        zoom: Another than that of the settings.
        restyle_plane: See :class:`~anyscope.datasets.planes.PlaneReader`.
        restyle_patch: See :class:`PatchDataset`.
    """
    in_depth = settings.dimensions == 3 or any(z for z, _, _ in layout.offsets)
    sampler = _sampler(
        part, settings, augmentation, stream, zoom, settings.task, settings.foreground, restyle_plane, in_depth
    )
    sampler = replace(sampler, label_neighbours=_label_neighbours(sampler.planes, layout, settings.dimensions))
    size, dimensions, erosion_px = settings.patch_px, settings.dimensions, settings.affinity_erosion_px
    return PatchDataset(sampler, size, layout, augmentation, dimensions, restyle_patch, erosion_px)


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
    in_depth: bool = False,
) -> PatchSampler:
    planes = PlaneReader(
        part.regions,
        task,
        settings.intensity,
        settings.pixel_size_nm,
        zoom=settings.zoom if zoom is None else zoom,
        restyle=restyle,
        in_depth=in_depth,
    )
    cut = settings.patch_px + 2 * margin_px(settings.patch_px, augmentation)
    return PatchSampler(planes, cut, settings.neighbours, foreground, derive_seed(settings.seed, stream))


def _label_neighbours(planes: PlaneReader, layout: HeadLayout, dimensions: int) -> int:
    """Slices on either side whose labels the targets of a slice depend on."""
    reach = max((abs(z) for z, _, _ in layout.offsets), default=0)
    if dimensions == 2 or not {"boundary", "distance", "centre"} & set(layout.heads):
        return reach
    spacing = min(planes.spacing(region) for region in range(len(planes.regions)))
    return max(reach, min(_MOST_LABEL_NEIGHBOURS, math.ceil(_FAR_PX / spacing)))


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
