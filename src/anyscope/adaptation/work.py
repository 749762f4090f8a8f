"""What a step of an adaptation is given, and hands on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from anyscope.adaptation.domains import Domains
from anyscope.adaptation.styles import Style
from anyscope.contracts import HeadLayout
from anyscope.models import InputTransform, Segmenter
from anyscope.running.run_folder import RunFolder
from anyscope.seeding import derive_seed, generator
from anyscope.training.batches import Batch, ImagePatches, MixedPatches, image_patches, labelled_patches, stack
from anyscope.training.checkpoint import save_weights
from anyscope.training.course import Course, follow
from anyscope.training.settings import AugmentationSettings, TrainSettings

CANDIDATES = "candidates"
_SHARE_OF_FEW = 0.5
"""Share of patches from labelled target images, where some were given: they are few, and what it is all about."""


@dataclass(frozen=True)
class Work:
    """All that is known up to a step. Frozen: a step returns a changed one.

    Args:
        domains: Source and target.
        settings: Settings of supervised training: patches, batch, augmentation, seed, optimiser.
        folder: Where the step keeps its files; ``work.run`` is the same as a run folder, in which ``work.follow`` lets
            something learn.
        device: Where networks work.
        segmenter: The network so far, on the device. Its spec's ``input`` says how target images are shown to it;
            ``source_input`` how those of the source are.
        trained: Whether it has learned from labels.
        styles: How source images are changed for training, one after the other.
        frozen: Beginnings of the names of the segmenter's parameters that supervised training leaves as they are.
        candidates: Most candidates of a learning step, besides what it began with.
        settled: Whether no gap shows, and what shows none is to be left as it is.
    """

    domains: Domains
    settings: TrainSettings
    folder: Path
    device: str
    segmenter: Segmenter
    source_input: InputTransform
    trained: bool = False
    styles: tuple[Style, ...] = ()
    frozen: tuple[str, ...] = ()
    candidates: int = 8
    settled: bool = False

    @property
    def run(self) -> RunFolder:
        """The step's folder, for :func:`anyscope.training.course.follow`."""
        return RunFolder(self.folder)

    def follow(
        self,
        course: Course,
        *,
        epochs: int,
        steps: int,
        title: str,
        after_epoch: Callable[[int], None] | None = None,
        part: int | None = None,
    ) -> None:
        """Let a course of this step run to its end; see :func:`anyscope.training.course.follow`.

        Args:
            course, epochs, steps, title, after_epoch: As there.
            part: Number of the course, from 0, where the step has several; each has a folder of its own.
        """
        run = self.run if part is None else RunFolder(self.folder / f"step_{part + 1}")
        seed = self.seed("dropout", *(() if part is None else (part,)))
        follow(
            course, run, epochs=epochs, steps=steps, seed=seed, device=self.device, title=title, after_epoch=after_epoch
        )

    def seed(self, *names: str | int) -> int:
        """A seed for a purpose of this step."""
        return derive_seed(self.settings.seed, self.folder.name, *names)

    def source_patches(
        self, stream: str, *, augmentation: AugmentationSettings | None = None, styled: bool = True
    ) -> Dataset[Batch]:
        """Numbered patches of the source with ``images``, ``targets``, ``valid``.

        Half of them come from the labelled target images, where there are some.

        Args:
            stream: Name of the stream of random numbers.
            augmentation: Another than that of the settings.
            styled: Whether the styles are applied.
        """
        styles = self.styles if styled else ()
        settings = self.settings
        layout = HeadLayout(settings.heads, self.segmenter.spec.classes, settings.offsets)
        augmentation = augmentation or settings.augmentation
        own = labelled_patches(
            self.domains.source,
            settings,
            augmentation,
            layout,
            stream,
            restyle_plane=lambda region, image: reduce(lambda x, style: style.plane(region, x), styles, image),
            restyle_patch=lambda region, image, random: reduce(
                lambda x, style: style.patch(region, x, random), styles, image
            ),
        )
        if self.domains.few is None:
            return own
        zoom = self.segmenter.spec.input.zoom
        few = labelled_patches(self.domains.few, settings, augmentation, layout, f"{stream} few", zoom=zoom)
        seed = derive_seed(settings.seed, stream, "mixture")
        return MixedPatches((own, few), (1 - _SHARE_OF_FEW, _SHARE_OF_FEW), seed)

    def target_patches(self, stream: str, *, augmentation: AugmentationSettings | None = None) -> ImagePatches:
        """Numbered patches of the target with ``images`` alone, at the scale the segmenter sees the target at.

        Grey levels and translator of the segmenter's input transform are not applied: they are inside the network.
        """
        zoom = self.segmenter.spec.input.zoom
        augmentation = augmentation or self.settings.augmentation
        return image_patches(self.domains.target, self.settings, augmentation, stream, zoom=zoom)

    def batch(self, dataset: Dataset[Batch], step: int, size: int | None = None) -> Batch:
        """The batch of a step: its patches of the endless sequence, on the device."""
        size = size or self.settings.batch
        items = stack([dataset[number] for number in range(step * size, (step + 1) * size)])
        return {key: value.to(self.device) for key, value in items.items()}

    def random(self, *names: str | int) -> np.random.Generator:
        """A generator for a purpose of this step."""
        return generator(self.settings.seed, self.folder.name, *names)

    def keep(self, epoch: int, weights: Segmenter) -> None:
        """Store a candidate: weights of a segmenter of the same spec. Epoch 0 is what the step began with."""
        folder = self.folder / CANDIDATES
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(weights, folder / f"{epoch:05}.safetensors")

    def keeping(self, epochs: int) -> Callable[[int, Segmenter], None]:
        """:meth:`keep` for those epochs of ``epochs`` that become candidates: evenly spread, the last one included."""
        wanted = candidate_epochs(epochs, self.candidates)

        def keep(epoch: int, weights: Segmenter) -> None:
            if epoch in wanted:
                self.keep(epoch, weights)

        return keep

    def kept(self) -> dict[int, Path]:
        """The candidates by epoch."""
        found = sorted((self.folder / CANDIDATES).glob("[0-9]*.safetensors"))  # not what a kill left half written
        return {int(path.stem): path for path in found}


def candidate_epochs(epochs: int, most: int) -> frozenset[int]:
    """At most ``most`` epochs of 1 to ``epochs``, evenly spread, the last one included.

    >>> sorted(candidate_epochs(10, 4)), sorted(candidate_epochs(3, 8))
    ([2, 5, 8, 10], [1, 2, 3])
    """
    count = min(epochs, most)
    return frozenset(round(epochs * (number + 1) / count) for number in range(count))


def on_device(segmenter: Segmenter, device: str) -> Segmenter:
    """The segmenter where it works, channels innermost as in training."""
    return segmenter.to(device).to(memory_format=torch.channels_last)
