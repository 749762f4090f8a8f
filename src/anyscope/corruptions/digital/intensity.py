"""Changes of grey levels. ImageNet-C's ``saturate`` is left out: it changes colours, and grey images have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.digital.noise import IMAGENET_C
from anyscope.corruptions.planes import plane_means


@dataclass(frozen=True)
class Contrast(Corruption):
    """Less contrast about the mean of every plane and channel.

    Args:
        factor: Contrast that remains.
    """

    name = "contrast"
    family = "digital"
    summary = "contrast about the mean is reduced"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"factor": (0.4, 0.3, 0.2, 0.1, 0.05)}

    factor: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        return Corrupted(torch.lerp(plane_means(images), images, self.factor).clamp_(0, 1))


@dataclass(frozen=True)
class Brightness(Corruption):
    """Brighter by a constant; what passes 1 is lost.

    Args:
        shift: What is added.
    """

    name = "brightness"
    family = "digital"
    summary = "a constant is added"
    source = IMAGENET_C
    levels: ClassVar[Levels] = {"shift": (0.1, 0.2, 0.3, 0.4, 0.5)}

    shift: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        return Corrupted((images + self.shift).clamp_(0, 1))


@dataclass(frozen=True)
class Gamma(Corruption):
    """Grey levels through a power, which darkens the middle.

    Args:
        exponent: The power.
    """

    name = "gamma"
    family = "digital"
    summary = "grey levels through a power"
    source = "ours"
    levels: ClassVar[Levels] = {"exponent": (1.25, 1.5, 2, 2.5, 3)}

    exponent: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        return Corrupted(images.clamp(0, 1) ** self.exponent)


@dataclass(frozen=True)
class Inversion(Corruption):
    """The contrast about middle grey fades and turns over: dark becomes bright, as between two detectors or stains.

    Args:
        contrast: What the contrast is multiplied by; -1 is the negative.
    """

    name = "inversion"
    family = "digital"
    summary = "contrast fades and turns over, up to the negative"
    source = "ours"
    levels: ClassVar[Levels] = {"contrast": (0.6, 0.2, -0.2, -0.6, -1)}

    contrast: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        return Corrupted((images * self.contrast + (1 - self.contrast) / 2).clamp_(0, 1))


@dataclass(frozen=True)
class BitDepth(Corruption):
    """Few grey levels, evenly from 0 to 1; values go to the nearest.

    Args:
        bits: Their number is two to the power of this.
    """

    name = "bit_depth"
    family = "digital"
    summary = "few grey levels"
    source = "ours"
    levels: ClassVar[Levels] = {"bits": (5, 4, 3, 2, 1)}

    bits: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        steps = 2**self.bits - 1
        return Corrupted((images * steps).round_().div_(steps).clamp_(0, 1))
