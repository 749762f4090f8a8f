"""Larger pixels and lossy files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import imagecodecs
import numpy as np
import torch
import torch.nn.functional as F

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.digital.noise import IMAGENET_C


@dataclass(frozen=True)
class JpegCompression(Corruption):
    """Through a JPEG file of 8 bits; every plane and channel is a grey image of its own.

    Args:
        quality: As in the Independent JPEG Group's library, up to 100.
    """

    name = "jpeg_compression"
    family = "digital"
    summary = "saved as JPEG"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"quality": (25, 18, 15, 10, 7)}

    quality: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        grey = (images * 255).round_().clamp_(0, 255).byte().cpu().flatten(0, 2).numpy()
        planes = [imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(plane, level=int(self.quality))) for plane in grey]
        decoded = torch.from_numpy(np.stack(planes)).to(images.device)
        return Corrupted(decoded.reshape(images.shape).to(images.dtype).div_(255))


@dataclass(frozen=True)
class Pixelate(Corruption):
    """Fewer pixels by means over boxes, shown as squares.

    Args:
        scale: Pixels that remain along an axis, as a fraction.
    """

    name = "pixelate"
    family = "digital"
    summary = "large square pixels"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"scale": (0.6, 0.5, 0.4, 0.3, 0.25)}

    scale: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        height, width = images.shape[-2:]
        small = images
        for axis in (-2, -1):
            small = _box_means(small, axis, max(1, int(images.shape[axis] * self.scale)))
        rows, columns = (
            _boxes(side, few, images.device) for side, few in zip((height, width), small.shape[-2:], strict=True)
        )
        return Corrupted(small.index_select(-1, columns).index_select(-2, rows).clamp_(0, 1))


@dataclass(frozen=True)
class Resampling(Corruption):
    """To larger pixels and back, bilinearly, without aliasing: fine detail is lost, nothing else.

    Args:
        scale: Pixels that remain in between along an axis, as a fraction.
    """

    name = "resampling"
    family = "digital"
    summary = "to larger pixels and back"
    source = "ours"
    levels: ClassVar[Levels] = {"scale": (0.7, 0.5, 0.35, 0.25, 0.15)}

    scale: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        planes = images.flatten(1, 2)
        size = tuple(max(1, round(length * self.scale)) for length in planes.shape[-2:])
        small = F.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True)
        back = F.interpolate(small, tuple(planes.shape[-2:]), mode="bilinear", align_corners=False)
        return Corrupted(back.clamp_(0, 1).reshape(images.shape))


def _box_means(images: torch.Tensor, axis: int, boxes: int) -> torch.Tensor:
    """Means along ``axis`` over boxes of equal width; a box holds the pixels whose centres are in it."""
    length = images.shape[axis]
    edges = np.floor(np.arange(boxes + 1) * length / boxes + 0.5).astype(np.int64)
    sizes = np.diff(edges)
    total = torch.zeros((), device=images.device)
    for place in range(int(sizes.max())):
        index = torch.from_numpy(np.minimum(edges[:-1] + place, length - 1)).to(images.device)
        weight = torch.from_numpy((place < sizes) / sizes).to(images.device, images.dtype)
        total = total + images.index_select(axis, index) * (weight[:, None] if axis == -2 else weight)
    return total


def _boxes(length: int, boxes: int, device: torch.device) -> torch.Tensor:
    """The box that the centre of every pixel is in."""
    place = ((np.arange(length) + 0.5) * boxes / length).astype(np.int64)
    return torch.from_numpy(place).to(device)
