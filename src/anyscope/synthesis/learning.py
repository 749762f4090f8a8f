"""From a labelled dataset to a painter: scenes, cleaned images, patches by number, and the training on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.datasets import LabelledImages
from anyscope.errors import BadInput
from anyscope.images import Intensity
from anyscope.models.nets.generators import GeneratorArguments, ResnetGenerator
from anyscope.running.run_folder import RunFolder
from anyscope.seeding import derive_seed, generator
from anyscope.synthesis.cleaning import clean
from anyscope.synthesis.course import PainterCourse
from anyscope.synthesis.maps import CHANNELS, painter_maps
from anyscope.synthesis.scenes import Scene
from anyscope.synthesis.settings import PainterSettings
from anyscope.training.course import follow

Floats = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)
Pair = tuple[Scene, Floats]
"""A scene and its cleaned image (y, x)."""


def read_pairs(
    images: LabelledImages, intensity: Intensity, *, most: int, seed: int, advance: Callable[[], object] = lambda: None
) -> list[Pair]:
    """Scenes of a labelled dataset with their cleaned images, an even choice of ``most`` slices.

    Slices without objects or without background are left out.

    Raises:
        BadInput: Labels are classes, images have several channels, or nothing is left.
    """
    planes = [(region, z) for region in images for z in range(region.roi.shape[0])]
    chosen = sorted(generator(seed, "scenes").permutation(len(planes))[:most].tolist())
    found = []
    for place in chosen:
        region, z = planes[place]
        if region.kind == "classes":
            raise BadInput(region.labels.path, "labels are classes", "objects or a mask", "scenes are made of objects")
        unit = region.read_unit(intensity) if region.roi.shape[0] == 1 else region.planes(z, z + 1).read_unit(intensity)
        if unit.shape[0] != 1:
            raise BadInput(region.image.path, f"{unit.shape[0]} channels", "one", "choose it with --channel")
        labels, _ = region.planes(z, z + 1).read_reference("instances")
        plane = clean(unit[0, 0])
        scene = Scene.of(labels[0], plane)
        if scene is not None:
            found.append((scene, plane))
        advance()
    if not found:
        raise BadInput("scenes", "none with objects and background", "a labelled image that holds both")
    return found


@dataclass(frozen=True)
class PainterPatches:
    """Batches of maps and images by number, the same ones always.

    Args:
        pairs: Scenes and cleaned images, the larger ones drawn the more often.
        settings: Size of a patch and of a batch, seed.
        device: Where they go.
    """

    pairs: Sequence[Pair]
    settings: PainterSettings
    device: torch.device | str

    def __call__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps [B, 3, H, W] and images [B, 1, H, W] of the step with a number."""
        settings = self.settings
        drawn = [
            self._patch(generator(settings.seed, "painter patch", number * settings.batch + place))
            for place in range(settings.batch)
        ]
        maps, images = (torch.from_numpy(np.stack(each)).to(self.device) for each in zip(*drawn, strict=True))
        return maps, images

    def _patch(self, random: np.random.Generator) -> tuple[Floats, Floats]:
        areas = np.array([image.size for _, image in self.pairs], float)
        scene, image = self.pairs[int(random.choice(len(self.pairs), p=areas / areas.sum()))]
        size = self.settings.patch_px
        labels, image = _at_least(scene.labels, size), _at_least(image, size)
        y, x = (int(random.integers(length - size + 1)) for length in image.shape)
        box = slice(y, y + size), slice(x, x + size)
        turns, mirror = int(random.integers(4)), bool(random.integers(2))
        labels, image = np.rot90(labels[box], turns), np.rot90(image[box], turns)
        if mirror:
            labels, image = labels[:, ::-1], image[:, ::-1]
        maps = painter_maps(Scene(np.ascontiguousarray(labels), scene.levels, scene.background), random)
        return maps, np.ascontiguousarray(2 * image[None] - 1, dtype=np.float32)


def _at_least(plane: NDArray[Number], size: int) -> NDArray[Number]:
    """The plane (y, x), mirrored on where it is smaller than ``size``."""
    missing = [max(0, size - length) for length in plane.shape]
    return np.pad(plane, [(0, each) for each in missing], mode="symmetric") if any(missing) else plane


def new_generator(settings: PainterSettings) -> ResnetGenerator:
    """An untrained generator; one seed gives the same weights bit for bit."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(settings.seed, "painter"))
        return ResnetGenerator(CHANNELS, 1, GeneratorArguments(filters=settings.filters, blocks=settings.blocks))


def learn_painter(
    pairs: Sequence[Pair], settings: PainterSettings, run: RunFolder, device: torch.device | str = "cpu"
) -> ResnetGenerator:
    """Train a generator, or go on where a run was stopped."""
    network = new_generator(settings).to(device)
    course = PainterCourse(network, PainterPatches(pairs, settings, device), settings, device)
    follow(
        course,
        run,
        epochs=settings.epochs,
        steps=settings.steps_per_epoch,
        seed=settings.seed,
        device=device,
        title="learn to paint",
    )
    return network
