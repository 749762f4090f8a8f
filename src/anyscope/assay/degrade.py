"""Applying a condition to images: what the models are shown, and what of the reference still counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.assay.conditions import TRANSFER, Condition
from anyscope.assay.inputs import AssayImage
from anyscope.attacks import ATTACKS, Attack, Target, class_logits, round_to_bits
from anyscope.attacks.ball import project
from anyscope.attacks.universal import repeated
from anyscope.contracts import Labels, Unit
from anyscope.corruptions import CORRUPTIONS, Acquisition, acquisition_of_record, assume_acquisition, warp_labels
from anyscope.images import Intensity, to_unit
from anyscope.images.intensity import percentiles
from anyscope.inference.network import Network, device_of
from anyscope.inference.slices import slice_stack
from anyscope.seeding import derive_seed

ATTACK_BLOCK_PX = 512
"""Largest height and width that is attacked at once; larger planes are attacked block by block."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What models are shown of an image.

    Args:
        name: Stem of the image.
        unit: (c, z, y, x) float32 in 0..1.
        labels: The reference (z, y, x), moved with the image where that moved, 0 where it does not count.
        valid: Voxels that count.
    """

    name: str
    unit: Unit
    labels: Labels
    valid: NDArray[np.bool_]


def image_seed(seed: int, name: str) -> int:
    """The seed of everything random that happens to the image called ``name``."""
    return derive_seed(seed, "assay", name)


def untouched(image: AssayImage) -> Shown:
    """The image as it is."""
    return Shown(image.name, image.unit, np.where(image.valid, image.labels, 0), image.valid)


def corrupt(
    condition: Condition, images: Sequence[AssayImage], intensity: Intensity, seed: int, device: str = "cpu"
) -> list[Shown]:
    """Images of one shape under a corruption.

    Args:
        condition: The corruption and its severity.
        images: At least one; all of the same shape and channels, of one microscope or of one size of pixels.
        intensity: The convention of the models: where it takes the range from the image, another exposure has another
            range.
        seed: Seed of the assay.
        device: Where the pixels are computed.
    """
    where = torch.device(device)
    kind = CORRUPTIONS[condition.name]
    seeds = [image_seed(seed, image.name) for image in images]
    units = torch.from_numpy(np.stack([image.unit for image in images])).to(where)
    acquisition = _acquisition(images, where) if kind.new_exposure else None
    corrupted = kind.at(int(condition.level))(units, seeds, acquisition)
    labels, valid = np.stack([image.labels for image in images]), np.stack([image.valid for image in images])
    if corrupted.field is not None:
        moved, inside = warp_labels(torch.from_numpy(labels.astype(np.int64)).to(where), corrupted.field)
        still_valid = warp_labels(torch.from_numpy(valid).to(where), corrupted.field)[0] & inside
        labels, valid = moved.cpu().numpy(), still_valid.cpu().numpy()
    if corrupted.valid is not None:
        valid = valid & corrupted.valid.cpu().numpy()
    shown = []
    for number, image in enumerate(images):
        unit = corrupted.images[number].cpu().numpy()
        if kind.new_exposure and intensity.kind == "percentiles":
            low, high = percentiles(unit.ravel(), (float(intensity.low or 0.0), float(intensity.high or 0.0)))
            unit = to_unit(unit, (low, high))
        counts = valid[number]
        shown.append(Shown(image.name, np.clip(unit, 0, 1), np.where(counts, labels[number], 0), counts))
    return shown


def _acquisition(images: Sequence[AssayImage], device: torch.device) -> Acquisition:
    """How the images were taken: as their records tell, or as images of their pixel size probably were."""
    makings = [image.making for image in images if image.making is not None]
    if len(makings) < len(images) or any(making.microscope != makings[0].microscope for making in makings):
        units = torch.from_numpy(np.stack([image.unit for image in images])).to(device)
        return assume_acquisition(units, images[0].pixel_size_nm)
    return acquisition_of_record(
        [{"microscope": making.microscope} for making in makings],
        [making.signal for making in makings],
        [image.value_range for image in images],
        [image.labels > 0 for image in images],
        device,
    )


def attack(
    condition: Condition, images: Sequence[AssayImage], segmenter: Network, seed: int, steps: int | None
) -> list[Shown]:
    """Images as an adversary of ``segmenter`` changes them, rounded to 8 bits.

    The network sees a slice with its neighbours as channels; each slice of a stack is attacked as it is shown, with its
    neighbours, and of what results the slice itself is kept.
    """
    made = []
    for image in images:
        planes = [_attack_plane(condition, image, z, segmenter, seed, steps) for z in range(image.unit.shape[1])]
        shown = untouched(image)
        made.append(Shown(image.name, np.stack(planes, axis=1), shown.labels, shown.valid))
    return made


def _attack_plane(
    condition: Condition, image: AssayImage, z: int, segmenter: Network, seed: int, steps: int | None
) -> NDArray[np.float32]:
    """One attacked slice (c, y, x), block by block."""
    spec = segmenter.spec
    channels = image.unit.shape[0]
    slab = slice_stack(image.unit, z, spec.neighbours)
    own = slice(spec.neighbours * channels, (spec.neighbours + 1) * channels)
    device = device_of(segmenter)
    network = class_logits(segmenter)
    result = np.empty(image.unit.shape[:1] + image.unit.shape[2:], np.float32)
    height, width = slab.shape[-2:]
    for y in range(0, height, ATTACK_BLOCK_PX):
        for x in range(0, width, ATTACK_BLOCK_PX):
            block = (slice(y, y + ATTACK_BLOCK_PX), slice(x, x + ATTACK_BLOCK_PX))
            pixels = torch.from_numpy(np.ascontiguousarray(slab[:, *block]))[None].to(device)
            labels = image.labels[z, *block].astype(np.int64)
            if spec.classes == 2:
                labels = (labels > 0).astype(np.int64)
            valid = torch.from_numpy(np.ascontiguousarray(image.valid[z, *block]))[None].to(device)
            target = Target(torch.from_numpy(labels)[None].to(device), valid)
            method = attack_of(condition, pixels[0].numel(), steps)
            found = method(network, pixels, target, [derive_seed(image_seed(seed, image.name), "slice", z, y, x)])
            result[:, *block] = round_to_bits(found, pixels, method.epsilon, method.norm)[0, own].cpu().numpy()
    return result


def attack_of(condition: Condition, pixels: int, steps: int | None) -> Attack:
    """The attack of a condition on images of so many pixels."""
    kind = ATTACKS["apgd" if condition.name == TRANSFER else condition.name]
    steps = condition.steps or steps
    chosen = {"steps": steps} if steps is not None and "steps" in kind.__dataclass_fields__ else {}
    return kind(epsilon=radius(condition, pixels), norm=condition.norm, **chosen)


def radius(condition: Condition, pixels: int) -> float:
    """The radius of an attack's ball on images of so many pixels."""
    epsilon = condition.level / 255
    # the level of l2 is the root mean square over the pixels
    return epsilon * pixels**0.5 if condition.norm == "l2" else epsilon


def perturb(condition: Condition, images: Sequence[AssayImage], perturbation: torch.Tensor) -> list[Shown]:
    """Images with one perturbation [C, h, w] added, repeated over their planes, rounded to 8 bits."""
    made = []
    for image in images:
        planes = torch.from_numpy(image.unit).transpose(0, 1)  # z is the batch
        epsilon = radius(condition, planes[0].numel())
        changed = project(planes + repeated(perturbation, planes.shape[-2:]), planes, epsilon, condition.norm)
        rounded = round_to_bits(changed, planes, epsilon, condition.norm)
        shown = untouched(image)
        unit = np.ascontiguousarray(rounded.transpose(0, 1).numpy())
        made.append(Shown(image.name, unit, shown.labels, shown.valid))
    return made
