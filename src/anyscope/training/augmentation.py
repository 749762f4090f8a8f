"""Augmentation of one patch: geometry for image and labels alike, then intensity and noise for the image.

Every draw comes from the generator that is passed in, so a patch depends on its number alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from anyscope.datasets.patches import Patch
from anyscope.training.settings import AppearanceSettings, AugmentationSettings

_ELASTIC_NODES = 6
"""Control points per axis of the elastic displacement."""


def margin_px(size: int, settings: AugmentationSettings) -> int:
    """Pixels around ``size`` that a cut needs so that a zoomed-out or turned patch rarely leaves it."""
    moves = settings.scale > 1 or settings.angle_degrees > 0
    return size // 8 if moves else 0


def augment(patch: Patch, size: int, settings: AugmentationSettings, random: np.random.Generator) -> Patch:
    """A varied cut of ``size`` x ``size`` pixels from the middle of ``patch``.

    Args:
        patch: Image (C, y, x) in 0..1 with labels and valid (l, y, x), at least ``size`` wide.
        size: Edge of the result in pixels.
        settings: What is varied, and how far.
        random: The generator of all draws.
    """
    patch = _geometry(patch, size, settings, random)
    image = vary_appearance(patch.image, settings, random)
    return replace(patch, image=np.ascontiguousarray(image, dtype=np.float32))


def vary_appearance(
    image: NDArray[np.float32], settings: AppearanceSettings, random: np.random.Generator
) -> NDArray[np.float32]:
    """Other grey levels, blur and noise at the same places.

    Args:
        image: (C, y, x) in 0..1.
        settings: What is varied, and how far.
        random: The generator of all draws.
    """
    return _noise(_intensity(image, settings, random), settings, random)


def centre(patch: Patch, size: int) -> Patch:
    """The middle of a patch, unchanged."""
    first = [(length - size) // 2 for length in patch.image.shape[-2:]]
    window = (..., slice(first[0], first[0] + size), slice(first[1], first[1] + size))
    return replace(
        patch,
        image=patch.image[window],
        labels=None if patch.labels is None else patch.labels[window],
        valid=None if patch.valid is None else patch.valid[window],
    )


def _geometry(patch: Patch, size: int, settings: AugmentationSettings, random: np.random.Generator) -> Patch:
    angle = np.deg2rad(random.uniform(-settings.angle_degrees, settings.angle_degrees))
    zoom = np.exp(random.uniform(-1, 1) * np.log(settings.scale))
    flips = random.random(2) < 0.5
    quarters = int(random.integers(4))
    bend = random.normal(0, settings.elastic_px, (2, _ELASTIC_NODES, _ELASTIC_NODES))
    if settings.angle_degrees > 0 or settings.scale > 1 or settings.elastic_px > 0:
        patch = _warp(patch, size, angle, zoom, bend)
    else:
        patch = centre(patch, size)
    if not settings.flips:
        return patch

    def turned(array: NDArray[Any]) -> NDArray[Any]:
        for axis in (-2, -1):
            if flips[axis]:
                array = np.flip(array, axis)
        return np.ascontiguousarray(np.rot90(array, quarters, axes=(-2, -1)))

    labels = None if patch.labels is None else turned(patch.labels)
    valid = None if patch.valid is None else turned(patch.valid)
    return replace(patch, image=turned(patch.image), labels=labels, valid=valid)


def _warp(patch: Patch, size: int, angle: float, zoom: float, bend: NDArray[np.float64]) -> Patch:
    height, width = patch.image.shape[-2:]
    steps = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    nodes = torch.from_numpy(bend.astype(np.float32))[None]
    shift = F.interpolate(nodes, size=(size, size), mode="bicubic", align_corners=True)[0]
    cosine, sine = float(np.cos(angle) * zoom), float(np.sin(angle) * zoom)
    rows = cosine * y - sine * x + shift[0]
    columns = sine * y + cosine * x + shift[1]
    # grid_sample counts from -1 to 1 over the outer edges of the corner pixels.
    grid = torch.stack([2 * columns / width, 2 * rows / height], dim=-1)[None]

    def sampled(array: torch.Tensor, mode: str) -> torch.Tensor:
        return F.grid_sample(array[None], grid, mode=mode, padding_mode="reflection", align_corners=False)[0]

    image = sampled(torch.from_numpy(np.ascontiguousarray(patch.image)), "bilinear").numpy()
    # Labels are picked by the place they come from, since float32 would round large ids.
    places = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float()
    rows_of, columns_of = sampled(places, "nearest").long().numpy()
    labels = None if patch.labels is None else patch.labels[:, rows_of, columns_of]
    valid = None if patch.valid is None else patch.valid[:, rows_of, columns_of]
    return replace(patch, image=image, labels=labels, valid=valid)


def _intensity(
    image: NDArray[np.float32], settings: AppearanceSettings, random: np.random.Generator
) -> NDArray[np.float32]:
    gamma = np.exp(random.uniform(-1, 1) * np.log(settings.gamma))
    gain = 1 + random.uniform(-1, 1) * settings.contrast
    offset = random.uniform(-1, 1) * settings.brightness
    mean = float(image.mean())
    bent = np.clip(image, 0, 1) ** np.float32(gamma)
    result: NDArray[np.float32] = np.clip((bent - mean) * np.float32(gain) + np.float32(mean + offset), 0, 1)
    return result


def _noise(
    image: NDArray[np.float32], settings: AppearanceSettings, random: np.random.Generator
) -> NDArray[np.float32]:
    sigma_px = random.uniform(0, settings.blur_px)
    sigma = random.uniform(0, settings.noise)
    if sigma_px > 0.3:
        image = ndimage.gaussian_filter(image, (0, sigma_px, sigma_px))
    if sigma > 0:
        image = image + np.float32(sigma) * random.standard_normal(image.shape, dtype=np.float32)
    result: NDArray[np.float32] = np.clip(image, 0, 1)
    return result
