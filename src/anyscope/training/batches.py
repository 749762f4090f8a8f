"""Batches of augmented patches with the targets of the heads. Patch ``n`` is the same whoever prepares it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from anyscope.datasets.patches import Patch, PatchSampler
from anyscope.instances import targets
from anyscope.seeding import generator
from anyscope.training.augmentation import augment
from anyscope.training.settings import AugmentationSettings

Batch = dict[str, torch.Tensor]
"""``images`` [B, C, H, W] in 0..1, ``targets`` [B, heads, H, W], ``valid`` [B, H, W]."""


@dataclass(frozen=True)
class PatchDataset(Dataset[Batch]):
    """Labelled patches by number."""

    sampler: PatchSampler
    size: int
    heads: tuple[str, ...]
    classes: int
    augmentation: AugmentationSettings

    def __getitem__(self, number: int) -> Batch:
        """The patch with the given number, augmented, with its targets."""
        random = generator(self.sampler.seed, "augmentation", number)
        patch = augment(self.sampler.draw(number), self.size, self.augmentation, random)
        maps, valid = _targets(patch, self.heads, self.classes)
        return {"images": torch.from_numpy(patch.image), "targets": torch.from_numpy(maps), "valid": valid}


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


def epoch_loader(dataset: PatchDataset, epoch: int, steps: int, batch: int, workers: int) -> DataLoader[Batch]:
    """The batches of an epoch: the next ``steps * batch`` patches of the endless sequence."""
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=_Numbers(epoch * steps * batch, steps * batch),
        num_workers=workers,
        collate_fn=_stack,
    )


def _stack(items: Sequence[Batch]) -> Batch:
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}
